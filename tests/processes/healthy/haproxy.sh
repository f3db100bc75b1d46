#!/usr/bin/env bash
# haproxy: setenv, presetenv, unsetenv and resetenv in its configuration, which a reload reads again; "show env" is the list.
# (Its order is not compared: haproxy has made a thread before it reads its configuration.)
cat >ask.py <<'PY'
import socket
with socket.socket(socket.AF_UNIX) as s:
    s.connect("stats")
    s.sendall(b"show env\n")
    answer = b"".join(iter(lambda: s.recv(4096), b""))
print("\n".join(sorted(line for line in answer.decode().split("\n") if line and not line.startswith(("LD_PRELOAD", "HAPROXY", "BASH_FUNC", " ", "}")))))
PY
cat >plain <<C
global
    setenv ADDED one
    presetenv ADDED two
    presetenv NEW three
    unsetenv GONE
    stats socket $PWD/stats level admin
defaults
    mode http
    timeout client 2s
    timeout server 2s
    timeout connect 2s
frontend f
    bind unix@$PWD/s
    http-request return status 200 content-type text/plain lf-string "%[env(STABLE)] %[env(ADDED)] %[env(NEW)] %[env(GONE)]\n"
C
sed 's/^global$/&\n    resetenv STABLE HOME PATH/' plain >reset
for conf in plain reset; do
    clean A=1 GONE=x PATH="$PATH" B=2 STABLE=stable HOME=/none C=3 haproxy -W -q -f $conf 2>/dev/null &
    pid=$!
    for round in start reload; do
        echo "$conf, $round"
        for ((i = 0; i < 100; i++)); do
            curl -s --unix-socket s http://localhost/ && break
            sleep 0.05
        done
        /usr/bin/python3 ask.py
        [ $round = reload ] && continue
        old=$(pgrep -P $pid)
        kill -USR2 $pid
        for ((i = 0; i < 100; i++)); do
            now=$(pgrep -P $pid)
            [ -n "$now" ] && [ "$now" != "$old" ] && ! kill -0 "$old" 2>/dev/null && break
            sleep 0.05
        done
    done
    [ $conf = reset ] || loaded $pid
    kill -TERM $pid
    wait $pid
    echo $?
    rm -f s stats
done
