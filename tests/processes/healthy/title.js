// node's title is written over the arguments; its process.env is libc's environment.
const show = () => console.log(require("fs").readFileSync("/proc/self/cmdline", "utf8").replace(/\0/g, " ").trim());
process.env.A = "1";
delete process.env.STABLE;
process.title = "a title of node";
show();
for (let i = 0; i < 300; i++) process.env["V" + i] = "x";
process.title = "another";
show();
console.log(require("child_process").execSync("printenv A V299 STABLE; true").toString());
