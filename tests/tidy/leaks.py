"""Nothing in the repository names the machine that it was written on, or a package registry to fetch things from."""

import re

# A path below a folder that holds people's or one machine's own files. Paths that every system has (`/dev/null`,
# `/proc/self`, `/etc`, `/usr/local`, `/var/lib`) are fine. Bytes, since stored fixtures are searched too.
_MACHINE_PATH = re.compile(rb"(?<![\w.}/)~$-])/(?:work|home|root|mnt|media|srv|tmp|Users|private|builds?|workspace)/[\w.-]+")
_DRIVE = re.compile(rb"(?<![\w])[A-Z]:\\+\w+\\+")

# (path of the file, the path in it, why it may stay)
ALLOWED_PATHS = {
    ("tests/http/tls_test.cc", "/tmp/millrace-certificate-XXXXXX"): "the name that mkstemp(3) completes",
}

# Registries and mirrors. A package is named by its name; its manager knows where it comes from.
_REGISTRIES = re.compile(r"\b(?:" + "|".join((
    # In pieces, so that this file names none.
    "py" r"pi\." "org", r"files\.python" r"hosted\." "org", "cra" r"tes\." "io", r"registry\.npm" r"js\." "org",
    r"registry\.yarnpkg\." + "com", r"(?:proxy|sum)\.golang\." + "org", r"repo1?\.maven\.(?:apache\.)?" + "org",
    r"rubygems\." + "org", r"(?:deb|ftp|security|snapshot)\.debian\." + "org", r"archive\.ubuntu\." + "com",
    r"(?:index|registry(?:-1)?|hub)\.docker\.(?:io|com)", r"ghcr\." + "io", r"quay\." + "io",
    r"conda\.anaconda\." + "org", r"huggingface\." + "co")) + r")\b")

_OWN = "tests/tidy/"  # names what it looks for


def machine_paths(tree):
    for file in tree.files:
        if file.path.startswith(_OWN):
            continue
        for pattern in (_MACHINE_PATH, _DRIVE):
            for found in pattern.finditer(file.bytes):
                path = found[0].decode()
                if (file.path, path) not in ALLOWED_PATHS:
                    line = file.bytes.count(b"\n", 0, found.start()) + 1
                    yield file.offence(line, "machine-paths", f"`{path}`: a path relative to the repository, or a variable")


def registries(tree):
    for file in tree.files:
        if file.path.startswith(_OWN) or file.language == "binary":
            continue
        for found in _REGISTRIES.finditer(file.text):
            yield file.offence_at(found.start(), "registries", f"`{found[0]}`: name the package; its manager knows where it "
                                                               "comes from")


RULES = [machine_paths, registries]
