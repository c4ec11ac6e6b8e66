# Completion of @NAME@ in bash: source <(@NAME@ completion bash)

@SHARED@
_@ID@() {
    local -a words=() server=() list=()
    local subcommands values flags arguments kind= parent= ended=
    local rest=${COMP_LINE:0:COMP_POINT} trimmed word i
    # bash has split the words at colons, too: put together what has no blanks in between.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        word=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && word=$trimmed
        if ((i)) && [[ $trimmed == "$rest" ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
    local current=${words[-1]} before=()
    for word in "${words[@]:1:${#words[@]}-2}"; do
        before+=("${word//[\\\"\']/}")
    done
    _@ID@_walk "${before[@]}"
    local plain=${current//[\\\"\']/} keep= lead=
    if [[ -z $ended && $plain == --*=* ]]; then
        _@ID@_value "${plain%%=*}"
        [[ $COMP_WORDBREAKS == *=* ]] || lead=${plain%%=*}=
        plain=${plain#*=}
    elif [[ -z $ended && $plain == -* && $kind != -- ]]; then
        kind=@option
    fi
    COMPREPLY=()
    case $kind in
    @file | @folder)
        compopt -o filenames
        [[ $kind == @file ]] && mapfile -t COMPREPLY < <(compgen -f -- "$plain")
        [[ $kind == @folder ]] && mapfile -t COMPREPLY < <(compgen -d -- "$plain")
        return
        ;;
    esac
    # What is in front of a colon stays on the line, unless it stands in quotes.
    local quote=
    [[ $current == [\"\']* ]] && quote=yes
    [[ -z $quote && $COMP_WORDBREAKS == *:* && $plain == *:* ]] && keep=${plain%"${plain##*:}"} lead=
    mapfile -t list < <(_@ID@_print)
    for word in "${list[@]}"; do
        if [[ -n $word && $word == "$plain"* ]]; then
            word=${word#"$keep"}
            [[ $quote ]] || printf -v word %q "$word"
            COMPREPLY+=("$lead$word")
        fi
    done
}

complete -F _@ID@ @NAME@
