#!/usr/bin/env bash
# login, on a terminal of script's: the environment that it makes for the shell.
printf '%s\n' 'exec /bin/bash --norc' 'PS1= PS2=' 'stty -echo' "printf 'BE%s\n' GIN; tr '\\0' '\\n' </proc/\$\$/environ; cat /proc/\$PPID/maps >$PWD/maps; printf 'E%s\n' ND" exit exit |
    script -qec "login -f root" /dev/null | tr -d '\r' | sed -n '/BEGIN$/,/^END/p'
loaded maps
