"""A server that speaks the part of the Hugging Face Hub's API that fetching and pushing need, on this machine.

Repositories with commits, large files by sha256 (git-lfs) and small ones by git's sha1, a token, private and gated
repositories, ranges, and faults: connections that are cut, bytes that are changed, silence, answers that repeat what
they were sent. Written after huggingface_hub 2.4 and the Hub's documentation; the real one was not there to compare.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "secretsecretsecret0123456789"
LARGE = (".safetensors", ".mp4", ".tar", ".bin", ".ckpt")


@dataclass
class Repo:
    """A repository: files of each commit, the newest last."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit with exactly these files."""
        number = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[number] = files
        return number

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def find(self, revision: str) -> str | None:
        """The commit of a branch, tag or commit."""
        if revision == "main" and self.commits:
            return self.head
        return self.tags.get(revision, revision if revision in self.commits else None)


class Hub:
    """The server's state; `address` once it runs."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}  # by `models/OWNER/NAME`
        self.sent: dict[str, bytes] = {}  # uploaded large files by sha256
        self.requests: list[tuple[str, str, str]] = []  # method, path, range
        self.cut_after: list[int] = []  # bytes after which the next answers with a large file are cut
        self.garble = ""  # name of a file that comes with a changed byte
        self.stall = 0.0  # seconds of silence before an answer
        self.status = 0  # answers everything with this, and with what it was sent
        self.slip = False  # forgets what was uploaded, and commits something else
        self.address = ""

    def repo(self, name: str, **about: bool) -> Repo:
        """A new repository of that name."""
        self.repos[name] = Repo(**about)  # type: ignore[arg-type]
        return self.repos[name]

    def asked(self, method: str, pattern: str) -> list[str]:
        """Ranges of the requests of that method whose path matches."""
        return [span for how, path, span in self.requests if how == method and re.search(pattern, path)]


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, value: object = None, status: int = 200, body: bytes | None = None, **headers: str) -> None:
        body = json.dumps(value).encode() if body is None else body
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, text: str) -> None:
        self.answer({"error": text}, status, X_Error_Code=code, X_Error_Message=text)

    def handle_any(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size)
        hub.requests.append((self.command, path, self.headers.get("Range") or ""))
        if hub.stall:
            time.sleep(hub.stall)
        if hub.status:
            self.refuse(
                hub.status, "", f"cannot serve {self.headers.get('Authorization')} at {hub.address}{path}?X-Sig=abc"
            )
            return
        if self.command == "PUT":
            hub.sent[path.rsplit("/", 1)[-1]] = b"" if hub.slip else sent
            self.answer(body=b"")
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(sent))
        elif path.endswith("/info/lfs/objects/batch"):
            self.batch(json.loads(sent))
        elif found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(\w+)(?:/(.+))?)?", path):
            self.api(*found.groups(), sent)  # type: ignore[arg-type]
        elif found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.file(("datasets/" if found[1] else "models/") + found[2], found[3], found[4])
        else:
            self.refuse(404, "", f"no such address {path}")

    def do_GET(self) -> None:
        self.handle_any()

    def do_HEAD(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PUT(self) -> None:
        self.handle_any()

    def allowed(self, name: str) -> Repo | None:
        """The repository, if there is one that whoever asks may see; otherwise the answer is given."""
        repo, known = self.hub.repos.get(name), self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not known):
            self.refuse(404 if known else 401, "RepoNotFound", "Repository not found")
            return None
        if repo.gated and not known:
            self.refuse(403, "GatedRepo", "Access to this repository is restricted")
            return None
        return repo

    def create(self, asked: dict) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "", "Invalid username or password.")
            return
        name = f"{asked['organization']}/{asked['name']}"
        repo = self.hub.repo(f"{asked.get('type') or 'model'}s/{name}", private=asked.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.answer({"url": f"{self.hub.address}/{name}"})

    def batch(self, asked: dict) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/lfs/{one['oid']}"}}} for one in asked["objects"]
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def api(self, kind: str, name: str, action: str | None, rest: str | None, sent: bytes) -> None:
        repo = self.allowed(f"{kind}/{name}")
        if repo is None:
            return
        if action == "refs":
            branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}]
            tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": at} for tag, at in repo.tags.items()]
            self.answer({"branches": branches, "tags": tags, "converts": []})
            return
        commit = repo.find((rest or "main").split("/")[0])
        if commit is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {rest}")
        elif action in (None, "revision"):
            siblings = [{"rfilename": file} for file in repo.commits[commit]]
            self.answer({"id": name, "sha": commit, "siblings": siblings, "private": repo.private, "tags": []})
        elif action == "tree":
            self.answer([entry(path, content) for path, content in repo.commits[commit].items()])
        elif action == "preupload":
            files = [
                {"path": file["path"], "uploadMode": mode(file["path"]), "shouldIgnore": False}
                for file in json.loads(sent)["files"]
            ]
            self.answer({"files": files})
        elif action == "commit":
            self.commit(repo, sent)
        else:
            self.refuse(404, "", f"no such address {self.path}")

    def commit(self, repo: Repo, sent: bytes) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(403, "", "You don't have the rights to write here")
            return
        files = dict(repo.commits[repo.head])
        for line in sent.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header" and value.get("parentCommit", repo.head) != repo.head:
                self.refuse(412, "", "A commit has happened since. Please refresh and try again.")
                return
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.sent[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        made = repo.commit(files)
        self.answer({"commitUrl": f"{self.hub.address}/x/y/commit/{made}", "commitOid": made, "pullRequestUrl": None})

    def file(self, name: str, revision: str, path: str) -> None:
        repo = self.allowed(name)
        if repo is None:
            return
        commit = repo.find(revision)
        if commit is None or path not in repo.commits[commit]:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        content = repo.commits[commit][path]
        etag = hashlib.sha256(content).hexdigest() if mode(path) == "lfs" else blob_id(content)
        if path == self.hub.garble:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"X_Repo_Commit": commit, "ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        start = 0
        if span := self.headers.get("Range"):
            start = int(span.removeprefix("bytes=").split("-")[0])
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        if self.command == "GET" and mode(path) == "lfs" and self.hub.cut_after:
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: self.hub.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        self.answer(status=206 if span else 200, body=part, **headers)


def mode(path: str) -> str:
    return "lfs" if path.endswith(LARGE) else "regular"


def entry(path: str, content: bytes) -> dict:
    """A file in a listing."""
    about: dict = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if mode(path) == "lfs":
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\n"
        about["oid"] = blob_id(f"{pointer}size {len(content)}\n".encode())  # git holds a pointer only
        about["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return about


def serve(hub: Hub) -> ThreadingHTTPServer:
    """A running server of these repositories."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
