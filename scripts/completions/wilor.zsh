#compdef wilor
# Completion of the program wilor for zsh. As in the one for bash, the options come from
# `wilor COMMAND --help`.
_wilor() {
    local -a options
    if (( CURRENT == 2 )); then
        compadd predict info download cache help --help --version
        return
    fi
    case $words[CURRENT-1] in
    --side) compadd auto left right; return ;;
    --compat) compadd mini wilor; return ;;
    --warp) compadd cv5 cv4; return ;;
    --device) compadd auto cpu; return ;;
    --dtype) compadd auto f32; return ;;
    --include) compadd mano xr26 vertices gesture angles; return ;;
    --obj | --overlay) _files -/; return ;;
    esac
    if [[ $words[CURRENT] == -* ]]; then
        options=(${(f)"$($words[1] $words[2] --help 2>/dev/null | sed -n 's/^  \(-[-a-z]*\).*/\1/p')"})
        compadd -- $options
    else
        _files
    fi
}
_wilor "$@"
