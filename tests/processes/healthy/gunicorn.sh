#!/usr/bin/env bash
# gunicorn through setproctitle: answers and titles, before and after a reload.
#
#   gunicorn.sh FOLDER      FOLDER: where app.py is
titles() {
    for process in $pid $(pgrep -P $pid); do
        tr '\0' ' ' <"/proc/$process/cmdline" | sed 's/ *$//'
        echo
    done | sort -u | sed "s#$PWD##"
}
: >log # there before anybody looks into it
/usr/bin/gunicorn --chdir "$1" -e ADDED=1 -n name --workers 1 --graceful-timeout 1 -b "unix:$PWD/s" app:application >log 2>&1 &
pid=$!
booted() { # COUNT: so many workers were started
    for ((i = 0; i < 200; i++)); do
        (($(grep -c 'Booting worker' log) >= $1)) && break
        sleep 0.05
    done
}
booted 1
curl -s --retry 9 --retry-all-errors --unix-socket s http://localhost/
titles
kill -HUP $pid
booted 2
# The old worker goes when the new one is there.
for ((i = 0; i < 100; i++)); do
    (($(pgrep -P $pid | wc -l) == 1)) && break
    sleep 0.05
done
curl -s --retry 9 --retry-all-errors --unix-socket s http://localhost/
titles
loaded $pid
kill -TERM $pid
wait $pid
echo $?
