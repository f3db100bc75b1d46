#!/usr/bin/env bash
# uWSGI with --auto-procname: its titles are written over the kernel's strings, and at SIGHUP it starts itself anew with the
# environment that it finds from environ[0] on.
#
#   uwsgi.sh FOLDER      FOLDER: where app.py is
titles() {
    for process in $pid $(pgrep -P $pid); do
        tr '\0' ' ' <"/proc/$process/cmdline" | sed 's/ *$//'
        echo
    done | sort
}
spawned() { # COUNT: so often the last worker was started, or it is dead
    for ((i = 0; i < 200; i++)); do
        { (($(grep -c 'spawned uWSGI worker 2' log) == $1)) || ! kill -0 $pid; } && break
        sleep 0.05
    done
}
export UNSET=unset
: >log # there before anybody looks into it
uwsgi --plugin python3 --master --processes 2 --auto-procname --http-socket "$PWD/s" --env ADDED=1 --unenv UNSET --chdir "$1" \
    --module app --die-on-term >log 2>&1 &
pid=$!
spawned 1
curl -s --unix-socket s http://localhost/
titles
kill -HUP $pid
spawned 2
kill -0 $pid && echo alive
curl -s --unix-socket s http://localhost/
titles
loaded $pid
kill -TERM $pid
wait $pid
echo $?
