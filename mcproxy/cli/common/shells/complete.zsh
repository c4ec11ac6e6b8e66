#compdef @NAME@
# Completion of @NAME@ in zsh: source <(@NAME@ completion zsh), behind compinit

@SHARED@
_@ID@() {
    emulate -L zsh
    local -a server list
    local subcommands values flags arguments kind= parent= ended=
    local current=${(Q)words[CURRENT]}
    _@ID@_walk "${(@Q)words[2,CURRENT-1]}"
    if [[ -z $ended && $current == --*=* ]]; then
        _@ID@_value "${current%%=*}"
        compset -P '*='
    elif [[ -z $ended && $current == -* ]]; then
        kind=@option
    fi
    case $kind in
    @file) _files ;;
    @folder) _files -/ ;;
    *)
        list=("${(@f)$(_@ID@_print)}")
        list=("${(@)list:#}")
        compadd -a -- list
        ;;
    esac
}

compdef _@ID@ @NAME@
