<?php
// php moves the environment away at its start, to have the room of the kernel's strings for the title.
function show()
{
    echo trim(str_replace("\0", " ", file_get_contents("/proc/self/cmdline"))), "\n";
}
putenv("A=1");
putenv("STABLE");
cli_set_process_title("a title of php, longer than the arguments were");
show();
for ($i = 0; $i < 300; $i++) {
    putenv("V$i=x");
}
cli_set_process_title("another");
show();
echo shell_exec("printenv A V299 STABLE");
