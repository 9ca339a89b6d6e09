# Completion of the program wilor for fish. As in the one for bash, the options come from
# `wilor COMMAND --help`.
function __wilor_options
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return
    $words[1] $words[2] --help 2>/dev/null | sed -n 's/^  \(-[-a-z]*\).*/\1/p'
end

complete -c wilor -n __fish_use_subcommand -f -a 'predict info download cache help --help --version'
complete -c wilor -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -a '(__wilor_options)'
complete -c wilor -l side -x -a 'auto left right'
complete -c wilor -l compat -x -a 'mini wilor'
complete -c wilor -l warp -x -a 'cv5 cv4'
complete -c wilor -l device -x -a 'auto cpu'
complete -c wilor -l dtype -x -a 'auto f32'
complete -c wilor -l include -x -a 'mano xr26 vertices gesture angles'
complete -c wilor -l obj -x -a '(__fish_complete_directories)'
complete -c wilor -l overlay -x -a '(__fish_complete_directories)'
