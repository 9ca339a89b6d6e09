#compdef wilor
# Completion of the program wilor for zsh. As in the one for bash, the options come from
# `wilor COMMAND --help`.
_wilor() {
    local -a options
    if (( CURRENT == 2 )); then
        compadd predict live serve info download cache convert verify bench help --help --version
        return
    fi
    case $words[CURRENT-1] in
    --side) compadd auto left right; return ;;
    --compat) compadd mini wilor mlx; return ;;
    --detector-profile) compadd 8.1.34 8.4.190; return ;;
    --warp) compadd cv5 cv4; return ;;
    --device) compadd auto cpu gpu mlx cuda; return ;;
    --dtype) [[ $words[2] == convert ]] && compadd f32 f16 bf16 int8 int4 || compadd auto f32 f32x f16 bf16 int8 int4; return ;;
    --to) compadd safetensors mlx packed; return ;;
    --group-size) compadd 32 64 128; return ;;
    --include) compadd det mano xr26 vertices gesture angles; return ;;
    --obj | --overlay) _files -/; return ;;
    esac
    if [[ $words[CURRENT] == -* ]]; then
        options=(${(f)"$($words[1] $words[2] --help 2>/dev/null | sed -n 's/^  \(-[-a-z]*\).*/\1/p')"})
        compadd -- $options
    elif [[ $words[2] == bench && $words[CURRENT-1] != --* ]]; then
        compadd model detector route live load peak kernels
    else
        _files
    fi
}
_wilor "$@"
