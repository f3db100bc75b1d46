#!/usr/bin/env bash
# php-fpm: its workers clear their environment and set it from the configuration, after it was moved away for the titles.
titles() {
    for process in $pid $(pgrep -P $pid); do
        tr '\0' ' ' <"/proc/$process/cmdline" | sed "s/ *$//; s#$PWD##"
        echo
    done | sort
}
ask() { # through nginx
    for ((i = 0; i < 100; i++)); do
        answer=$(curl -s --unix-socket sock http://localhost/) && [[ $answer == *Z* ]] && break
        sleep 0.05
    done
    echo "$answer"
}
cat >env.php <<'P'
<?php
putenv("NEW=1");
echo getenv("STABLE"), " ", getenv("ADDED"), " ", shell_exec("printenv NEW STABLE ADDED | tr '\n' ' '"), "Z\n";
P
cat >fpm.conf <<C
[global]
pid = $PWD/fpm.pid
error_log = $PWD/fpm.log
daemonize = no
[cleared]
user = root
listen = $PWD/cleared
pm = static
pm.max_children = 1
clear_env = yes
env[ADDED] = by-fpm
env[PATH] = /usr/bin:/bin
[kept]
user = root
listen = $PWD/kept
pm = static
pm.max_children = 1
clear_env = no
env[ADDED] = \$STABLE
C
"$1" -R -n -y fpm.conf 2>/dev/null &
pid=$!
for pool in cleared kept; do
    cat >$pool.conf <<C
worker_processes 1; daemon off; pid $PWD/pid; error_log $PWD/error.log; user root;
events {} http { access_log off; client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u;
scgi_temp_path $PWD/g; server { listen unix:$PWD/sock; location / { fastcgi_pass unix:$PWD/$pool; fastcgi_param SCRIPT_FILENAME $PWD/env.php;
fastcgi_param REQUEST_METHOD GET; } } }
C
    nginx -c "$PWD/$pool.conf" 2>/dev/null &
    nginx=$!
    ask
    kill -QUIT $nginx
    wait $nginx
done
titles
old=$(pgrep -P $pid | sort)
kill -USR2 $pid # executes itself again
for ((i = 0; i < 200; i++)); do
    now=$(pgrep -P $pid | sort)
    [ "$now" != "$old" ] && (($(wc -l <<<"$now") == 2)) && [[ $(titles) == *pool*pool* ]] && break
    sleep 0.05
done
titles
loaded $pid
kill -QUIT $pid
wait $pid
echo $?
