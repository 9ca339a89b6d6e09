# Completion of the program wilor for bash. The options come from `wilor COMMAND --help`, so that this
# file does not fall behind it.
_wilor() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]:-}
    local words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "predict live serve info download cache convert verify bench help --help --version" -- "$cur")
        return
    fi
    case $prev in
    --side) words="auto left right" ;;
    --compat) words="mini wilor mlx" ;;
    --detector-profile) words="8.1.34 8.4.190" ;;
    --warp) words="cv5 cv4" ;;
    --device) words="auto cpu gpu mlx cuda" ;;
    --dtype) words="auto f32 f32x f16 bf16 int8 int4"; [ "$command" = convert ] && words="f32 f16 bf16 int8 int4" ;;
    --to) words="safetensors mlx packed" ;;
    --group-size) words="32 64 128" ;;
    --include) words="det mano xr26 vertices gesture angles" ;;
    --obj | --overlay)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    esac
    if [ -z "$words" ] && [ "$command" = bench ] && [[ $cur != -* && $prev != --* ]]; then
        words="model detector route live load peak kernels"
    fi
    if [ -z "$words" ] && [[ $cur == -* ]]; then
        words=$("${COMP_WORDS[0]}" "$command" --help 2>/dev/null | sed -n 's/^  \(-[-a-z]*\).*/\1/p')
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -F _wilor wilor
