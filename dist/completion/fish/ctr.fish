# fish completion for ctr: the program itself knows what may follow.
function __ctr_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    if string match -q -- '-*' $current
        set -a words $current
    end
    ctr $words --generate-bash-completion 2>/dev/null
end
complete -c ctr -f -a '(__ctr_candidates)'
# commands whose arguments are files or folders of the host
complete -c ctr -n '__fish_seen_subcommand_from import export mount unmount' -F
