# What may follow the name of a command: commands below it, options with values (and what these may be), flags, arguments.
_@ID@_tree() {
    subcommands= values= flags= arguments=
    case $1 in
@TREE@
    esac
}

# Looks at the words in front of the one to complete; sets what that may be, the argument in front, and which server is meant.
_@ID@_walk() {
    local word option= after= place=0 at= rest first= number
    _@ID@_tree ''
    for word in "$@"; do
        if [[ -n $after ]]; then
            [[ $after == server ]] && server+=("$word")
            after=
        elif [[ -z $ended && $word == -- ]]; then
            ended=yes
        elif [[ -z $ended && $word == -?* ]]; then
            option=$word
            case $word in
            --addr=* | --config=*) server+=("$word") ;;
            --addr | --config | -c) server+=("$word") after=server ;;
            *) [[ " $values" == *" $word="* ]] && after=value ;;
            esac
        elif [[ -z $at && $word == help ]]; then
            continue
        elif [[ " $subcommands " == *" $word "* ]]; then
            at="${at:+$at }$word"
            _@ID@_tree "$at"
        else
            place=$((place + 1))
            [[ $place == 1 ]] && first=$word
            parent=$word
        fi
    done
    if [[ -n $after ]]; then
        _@ID@_value "$option"
    elif [[ -n $subcommands ]]; then
        kind=@command
    else
        rest=$arguments number=$place
        while [[ $place -gt 0 && $rest == *' '* ]]; do
            rest=${rest#* }
            place=$((place - 1))
        done
        kind=${rest%% *}
        [[ $place -gt 0 && $kind != *... ]] && kind=
        kind=${kind%...}
        [[ $kind == @key ]] && _@ID@_key "$first" "$number"
    fi
}

# Sets what a part of a resource's key may be, of a kind and so many words.
_@ID@_key() {
    case $1:$2 in
    listener:1 | route:1 | policy:1) kind=@listener ;;
    route:2 | policy:2) kind=@hostname ;;
    upstream:1 | endpoint:1) kind=@upstream ;;
    endpoint:2) kind=@endpoint ;;
    rule:1) kind=ip,cidr,country,allowed_ip,allowed_cidr,allowed_country ;;
    *) kind= ;;
    esac
}

# Sets what the value of an option may be.
_@ID@_value() {
    kind=" $values "
    [[ $kind == *" $1="* ]] || kind=" $1= "
    kind=${kind#*" $1="}
    kind=${kind%% *}
}

# Prints what the word may be, a line for each.
_@ID@_print() {
    case $kind in
    @command) tr ' ' '\n' <<<"$subcommands" ;;
    @option) tr ' ' '\n' <<<"$flags $values" | sed 's/=.*//' ;;
    @listener | @upstream) _@ID@_names | awk -F '\t' -v kind="${kind#@}" '$1 == kind { print $2 }' | sort -u ;;
    @hostname) _@ID@_names | awk -F '\t' -v parent="$parent" '$3 != "" && $1 == "listener" && $2 == parent { print $3 }' ;;
    @endpoint) _@ID@_names | awk -F '\t' -v parent="$parent" '$3 != "" && $1 == "upstream" && $2 == parent { print $3 }' ;;
    @* | '' | -) ;;
    *) tr , '\n' <<<"$kind" ;;
    esac
}

# Prints listeners with hostnames and upstreams with endpoints of the server, from a list that is a minute old at most.
_@ID@_names() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/mcproxy file
    file="${MCPROXY_ADDR-}:${MCPROXY_CONFIG-}:${server[*]}"
    [[ $file == *[:\ ][!/:\ ]* ]] && file=$PWD:$file # a name may be relative
    file=$folder/names-${file//[^[:alnum:]]/_}
    if [[ -z $(find "$file" -mmin -1 2>/dev/null) ]]; then
        (
            umask 077
            mkdir -p "$folder" && @NAME@ names --timeout 1s "${server[@]}" >"$file.$$" && mv -f "$file.$$" "$file" || rm -f "$file.$$"
        ) >/dev/null 2>&1 </dev/null
    fi
    cat "$file" 2>/dev/null
}
