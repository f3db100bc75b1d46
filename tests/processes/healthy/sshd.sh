#!/usr/bin/env bash
# sshd with PAM, at the end of a pipe instead of a port: the session's environment, in the order that its shell gets it, and the
# title, which is written over the kernel's strings.
made=0
[ -d /run/sshd ] || { mkdir /run/sshd && made=1; }
ssh-keygen -qt ed25519 -N "" -f host
ssh-keygen -qt ed25519 -N "" -f key
cat >conf <<C
HostKey $PWD/host
AuthorizedKeysFile $PWD/key.pub
StrictModes no
UsePAM yes
PermitRootLogin yes
PrintMotd no
AcceptEnv STABLE TZ
SetEnv GIVEN=by-sshd
C
cat >client <<C
ProxyCommand /usr/sbin/sshd -i -f $PWD/conf
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
IdentityFile $PWD/key
IdentitiesOnly yes
SendEnv STABLE TZ
LogLevel ERROR
C
ssh -F client root@local "tr '\\0' '\\n' </proc/\$\$/environ; tr '\\0' ' ' </proc/\$PPID/cmdline | sed 's/ *\$//'; echo; cat /proc/\$PPID/maps >$PWD/maps"
echo $?
loaded maps
((made)) && rmdir /run/sshd
true
