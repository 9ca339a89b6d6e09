# Completion of the program wilor for fish. As in the one for bash, the options come from
# `wilor COMMAND --help`.
function __wilor_options
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return
    $words[1] $words[2] --help 2>/dev/null | sed -n 's/^  \(-[-a-z]*\).*/\1/p'
end

complete -c wilor -n __fish_use_subcommand -f -a 'predict live serve info download cache convert verify bench help --help --version'
complete -c wilor -n '__fish_seen_subcommand_from bench' -f -a 'model detector route live load peak kernels'
complete -c wilor -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -a '(__wilor_options)'
complete -c wilor -l side -x -a 'auto left right'
complete -c wilor -l compat -x -a 'mini wilor mlx'
complete -c wilor -l detector-profile -x -a '8.1.34 8.4.190'
complete -c wilor -l warp -x -a 'cv5 cv4'
complete -c wilor -l device -x -a 'auto cpu gpu mlx cuda'
complete -c wilor -n 'not __fish_seen_subcommand_from convert' -l dtype -x -a 'auto f32 f32x f16 bf16 int8 int4'
complete -c wilor -n '__fish_seen_subcommand_from convert' -l dtype -x -a 'f32 f16 bf16 int8 int4'
complete -c wilor -l to -x -a 'safetensors mlx packed'
complete -c wilor -l group-size -x -a '32 64 128'
complete -c wilor -l include -x -a 'det mano xr26 vertices gesture angles'
complete -c wilor -l obj -x -a '(__fish_complete_directories)'
complete -c wilor -l overlay -x -a '(__fish_complete_directories)'
