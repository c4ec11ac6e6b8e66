# Completion of @NAME@ in fish: @NAME@ completion fish | source

# What may follow the name of a command: commands below it, options with values (and what these may be), flags, arguments.
function __@ID@_tree --no-scope-shadowing
    set subcommands
    set values
    set flags
    set arguments
    switch "$argv[1]"
@TREE@
    end
end

# Prints listeners with hostnames and upstreams with endpoints of the server, from a list that is a minute old at most.
function __@ID@_names
    set -l folder $HOME/.cache
    set -q XDG_CACHE_HOME; and set folder $XDG_CACHE_HOME
    set folder $folder/mcproxy
    set -l name "$MCPROXY_ADDR:$MCPROXY_CONFIG:$argv"
    string match -qr '[: ][^/: ]' -- $name; and set name "$PWD:$name" # a name may be relative
    set -l file $folder/names-(string replace -ar '[^[:alnum:]]' _ -- $name)
    if test -z "$(find $file -mmin -1 2>/dev/null)"
        mkdir -p $folder 2>/dev/null
        if @NAME@ names --timeout 1s $argv >$file.$fish_pid 2>/dev/null </dev/null
            mv -f $file.$fish_pid $file
        else
            rm -f $file.$fish_pid
        end
    end
    cat $file 2>/dev/null
end

# Prints what the word at the cursor may be, a line for each.
function __@ID@_complete
    set -l subcommands
    set -l values
    set -l flags
    set -l arguments
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l server
    set -l first
    set -l parent
    set -l option
    set -l after
    set -l ended
    set -l at
    set -l place 0
    set -l kind
    __@ID@_tree ''
    for word in $typed[2..]
        if test -n "$after"
            test $after = server; and set -a server $word
            set after
        else if test -z "$ended" -a "$word" = --
            set ended yes
        else if test -z "$ended"; and string match -q -- '-?*' $word
            set option $word
            if string match -qr -- '^--(addr|config)=' $word
                set -a server $word
            else if contains -- $word --addr --config -c
                set -a server $word
                set after server
            else if string match -q -- "$word=*" $values
                set after value
            end
        else if test -z "$at" -a "$word" = help
            continue
        else if contains -- $word $subcommands
            set at (string trim "$at $word")
            __@ID@_tree $at
        else
            set place (math $place + 1)
            test $place = 1; and set first $word
            set parent $word
        end
    end
    if test -n "$after"
        set kind (string replace -- "$option=" '' (string match -- "$option=*" $values))
    else if test -z "$ended"; and string match -q -- '--*=*' $current
        set option (string replace -r -- '=.*' '' $current)
        set kind (string replace -- "$option=" '' (string match -- "$option=*" $values))
        for word in (string split , -- $kind)
            string match -q -- '@*' $word; or echo $option=$word
        end
        return
    else if test -z "$ended"; and string match -q -- '-*' $current
        string join \n -- $flags (string replace -r -- '=.*' '' $values)
        return
    else if test -n "$subcommands"
        string join \n -- $subcommands
        return
    else if test $place -lt (count $arguments)
        set kind (string replace -- ... '' $arguments[(math $place + 1)])
    else if string match -q -- '*...' $arguments[-1]
        set kind (string replace -- ... '' $arguments[-1])
    end
    if test "$kind" = @key
        switch "$first:$place"
            case listener:1 route:1 policy:1
                set kind @listener
            case route:2 policy:2
                set kind @hostname
            case upstream:1 endpoint:1
                set kind @upstream
            case endpoint:2
                set kind @endpoint
            case rule:1
                set kind ip,cidr,country,allowed_ip,allowed_cidr,allowed_country
            case '*'
                set kind
        end
    end
    switch "$kind"
        case @file
            __fish_complete_path $current
        case @folder
            __fish_complete_directories $current ''
        case @listener @upstream
            __@ID@_names $server | awk -F '\t' -v kind=(string sub -s 2 -- $kind) '$1 == kind { print $2 }' | sort -u
        case @hostname
            __@ID@_names $server | awk -F '\t' -v parent="$parent" '$3 != "" && $1 == "listener" && $2 == parent { print $3 }'
        case @endpoint
            __@ID@_names $server | awk -F '\t' -v parent="$parent" '$3 != "" && $1 == "upstream" && $2 == parent { print $3 }'
        case '' -
        case '*'
            string split , -- $kind
    end
end

complete -c @NAME@ -e
complete -c @NAME@ -f -a '(__@ID@_complete)'
