"""The servers that are compared: how each is installed, started fresh on free ports, and stopped."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
HOME = TARGET / "peers"

NODE_MEDIA_SERVER = "4.4.3"
XIU = "0.13.0"

# The load comes from one address, so what the node allows to one address has to hold all of it.
LIMITS = {
    "limits.connections": 30000,
    "limits.connections_per_ip": 30000,
    "limits.players": 30000,
    "limits.players_per_stream": 30000,
    "limits.pending_handshakes": 5000,
}


class Trouble(Exception):
    """What keeps a server from being measured, and what can be done about it."""


def say(text):
    print(text, flush=True)


def call(*command, cwd=None):
    """Runs a command that builds or installs something, and shows what it says only if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}")
    return done.stdout


def as_root(*command):
    if os.geteuid() == 0:
        return call(*command)
    if shutil.which("sudo"):
        return call("sudo", "-n", *command)
    raise Trouble(f"needs root or sudo: {' '.join(command)}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One kind of server. `name` is how tables call it."""

    name = ""
    # Extra arguments; only the node takes any.
    settings = ()

    def install(self):
        """Makes it runnable; raises Trouble."""

    def version(self):
        return ""

    def command(self, port, http, folder):
        raise NotImplementedError

    def process(self, started):
        """The process that does the work."""
        return started.pid


class Lockgate(Server):
    name = "Lockgate"

    def __init__(self, **settings):
        self.settings = settings

    def install(self):
        call("cargo", "build", "--release", "--locked", "-p", "lockgate-node", "-p", "lockgate-loadgen", cwd=ROOT)

    def version(self):
        said = call(TARGET / "release/lockgate", "--version").split()[-1]
        try:
            return f"{said}, {call('git', 'rev-parse', '--short', 'HEAD', cwd=ROOT).strip()}"
        except (Trouble, OSError):
            return said

    def command(self, port, http, folder):
        sets = {
            "rtmp.listen": f"127.0.0.1:{port}",
            "http.listen": f"127.0.0.1:{http}",
            "webrtc.listen": "127.0.0.1:0",
            "log.filter": "warn",
            **LIMITS,
            **self.settings,
        }
        command = [TARGET / "release/lockgate", "run"]
        for key, value in sets.items():
            command += ["--set", f"{key}={value}"]
        return command


class Nginx(Server):
    """nginx with its RTMP module, both from Debian: those of the system, or unpacked beside the build."""

    name = "nginx-rtmp"

    def install(self):
        self.binary, self.module = self.found("/")
        if self.binary and self.module:
            return
        folder = HOME / "nginx"
        self.binary, self.module = self.found(folder)
        if not (self.binary and self.module):
            if not shutil.which("apt-get"):
                raise Trouble("nginx is not installed and there is no apt-get: install nginx and libnginx-mod-rtmp")
            folder.mkdir(parents=True, exist_ok=True)
            try:
                call("apt-get", "download", "nginx", "libnginx-mod-rtmp", cwd=folder)
            except Trouble:
                as_root("apt-get", "update", "-qq")
                call("apt-get", "download", "nginx", "libnginx-mod-rtmp", cwd=folder)
            # Unpacked, not installed: a package would start a web server on port 80.
            for package in glob.glob(f"{folder}/*.deb"):
                call("dpkg", "-x", package, folder)
            self.binary, self.module = self.found(folder)
        if not (self.binary and self.module):
            raise Trouble("Debian's packages nginx and libnginx-mod-rtmp hold no nginx with an RTMP module")
        missing = [line.split()[0] for line in call("ldd", self.binary).splitlines() if "not found" in line]
        if missing:
            as_root("apt-get", "install", "-y", "-qq", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1")

    @staticmethod
    def found(root):
        binary = Path(root) / "usr/sbin/nginx"
        module = Path(root) / "usr/lib/nginx/modules/ngx_rtmp_module.so"
        return (binary if binary.exists() else None, module if module.exists() else None)

    def version(self):
        said = subprocess.run([self.binary, "-v"], stderr=subprocess.PIPE, text=True).stderr
        return f"{said.split('/')[-1].strip()}, module of Debian"

    def command(self, port, http, folder):
        files = os.sysconf("SC_OPEN_MAX")
        (folder / "nginx.conf").write_text(
            f"""load_module {self.module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections {files}; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        application live {{ live on; }}
    }}
}}
"""
        )
        return [self.binary, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]

    def process(self, started):
        """The master only watches its one worker."""
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        for _ in range(100):
            workers = children.read_text().split()
            if workers:
                return int(workers[0])
            time.sleep(0.05)
        raise Trouble("nginx started no worker")


class NodeMediaServer(Server):
    name = "node-media-server"
    folder = HOME / "node-media-server"

    def install(self):
        if not shutil.which("npm"):
            raise Trouble("npm is not installed: install Node.js")
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = f"node-media-server@{NODE_MEDIA_SERVER}"
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--silent"]
        call("npm", "install", *flags, "--prefix", self.folder, wanted)

    def version(self):
        return f"{NODE_MEDIA_SERVER}, Node.js {call('node', '--version').strip()[1:]}"

    def command(self, port, http, folder):
        config = {
            "bind": "127.0.0.1",
            "notify": {"url": ""},
            "store": {"path": str(folder), "maxHistory": 1000},
            "auth": {"play": False, "publish": False, "secret": "", "jwt": {"users": []}},
            "rtmp": {"port": port},
            "http": {"port": http},
            "record": {"auto": False, "path": str(folder)},
        }
        (folder / "config.json").write_text(json.dumps(config))
        app = self.folder / "node_modules/node-media-server/bin/app.js"
        return ["node", app, "-c", folder / "config.json", "--no-admin"]


class Xiu(Server):
    name = "xiu"

    def install(self):
        if not (HOME / "xiu/bin/xiu").exists():
            say("  building xiu, which takes minutes")
            # For the C library that it brings along.
            if not shutil.which("cmake"):
                as_root("apt-get", "install", "-y", "cmake")
            call("cargo", "install", "xiu", "--version", XIU, "--locked", "--root", HOME / "xiu")

    def version(self):
        return XIU

    def command(self, port, http, folder):
        return [HOME / "xiu/bin/xiu", "-r", port, "-l", "error"]


PEERS = {"nginx": Nginx, "nms": NodeMediaServer, "xiu": Xiu}


class Running:
    """A server that runs, for a `with`: it is stopped whatever happens."""

    def __init__(self, server, cores, folder):
        self.server, self.cores, self.folder = server, cores, folder
        self.port, self.http = free_port(), free_port()

    def url(self, protocol):
        """Where the load publishes or plays by a protocol: our paths are node-media-server's too."""
        if protocol == "rtmp":
            return f"rtmp://127.0.0.1:{self.port}/live/load"
        suffix = {"flv": ".flv", "whep": "/whep", "whip": "/whip"}[protocol]
        return f"http://127.0.0.1:{self.http}/live/load{suffix}"

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = ["taskset", "-c", self.cores, *self.server.command(self.port, self.http, self.folder)]
        self.log = open(self.folder / "log", "w+")
        self.started = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder
        )
        try:
            self.wait()
            self.pid = self.server.process(self.started)
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        for _ in range(300):
            if self.started.poll() is not None:
                raise Trouble(f"{self.server.name} ended at once:\n{self.said()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise Trouble(f"{self.server.name} did not listen within 15 s:\n{self.said()}")

    def said(self):
        self.log.flush()
        return (self.folder / "log").read_text()[-1000:]

    def __exit__(self, *_):
        if self.started.poll() is None:
            self.started.send_signal(signal.SIGTERM)
            try:
                self.started.wait(10)
            except subprocess.TimeoutExpired:
                self.started.kill()
                self.started.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
