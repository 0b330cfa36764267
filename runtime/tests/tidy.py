#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the source tree itself: lengths, banned words, include direction, dead files.

Reads every text file of the repository that is not built, prints one line for each finding, and
exits 1 if there was one. Needs nothing but Python.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "runtime"

LINE_MAX = 100
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

SKIPPED_FOLDERS = re.compile(r"^(\.git|build(-.*)?|dist|\.venv|__pycache__|\..*_cache|\.hypothesis"
                             r"|\.cache|.*\.egg-info)$")
TEXT_SUFFIXES = {".c", ".h", ".cc", ".py", ".pyi", ".sh", ".cmake", ".in", ".md", ".toml", ".json",
                 ".txt"}
CODE_SUFFIXES = {".c", ".h", ".cc", ".py", ".pyi", ".sh", ".cmake"}
TEXT_NAMES = {"Makefile", ".gitignore", ".clang-format", "run"}
SPDX = "SPDX-License-Identifier: Apache-2.0"

# What each folder under runtime/ may include, besides its own files and the system's headers.
PUBLIC = {"pto/analysis.h", "pto/graph.h", "pto/pto.h", "pto/runner.h", "pto/status.h"}
INCLUDES = {
    "abi": set(),
    "include": {"abi"},
    "base": {"abi", "public"},
    "graph": {"abi", "base", "public"},
    "host": {"abi", "base", "graph", "public"},
    "check": {"abi", "base", "graph", "host", "public"},
    "sim": {"abi", "base", "check", "host", "public"},
    "explore": {"abi", "base", "host", "public"},
    "ascend": {"abi", "base", "host", "public"},
    "python": {"abi", "base", "graph", "host", "public"},
    "aicpu": {"abi"},
    "aicore": {"abi", "kernel"},
    "examples": {"public", "kernel"},
    "bench": {"abi", "graph", "examples", "public", "kernel"},
}
LIBRARY = {"abi", "base", "graph", "host", "check", "sim", "explore", "ascend", "aicpu", "aicore"}

# Words that no C file may hold, and words that no library file may hold: it reports by status, and
# never prints, ends the process or runs another one.
BANNED = {
    "volatile": "shared memory is touched by the accessors of abi/access.h or by atomics",
    "strcpy": "use a call that knows the size",
    "strcat": "use a call that knows the size",
    "sprintf": "use snprintf",
    "vsprintf": "use vsnprintf",
    "gets": "use fgets",
    "alloca": "stack use must be bounded",
    "typedef struct": "structs have no typedef",
}
BANNED_IN_LIBRARY = {
    r"(?:f|v|vf|d)?printf\s*\(": "the library does not print",
    r"puts\s*\(": "the library does not print",
    r"putchar\s*\(": "the library does not print",
    r"perror\s*\(": "the library does not print",
    r"abort\s*\(": "the library does not end the process",
    r"_?exit\s*\(": "the library does not end the process",
    r"system\s*\(": "the library runs no other program",
    r"popen\s*\(": "the library runs no other program",
}

# A folder of somebody's own machine has no place in the tree.
FOREIGN = re.compile(r"(?<![\w.$}~/-])/(?:home|root|work|Users)/\w")

findings = []


def report(path, line, text):
    findings.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def tree_files():
    """Every text file of the repository that a person wrote."""
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if path.is_symlink():
                continue
            if path.is_dir():
                if not SKIPPED_FOLDERS.match(path.name):
                    folders.append(path)
            elif path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES:
                yield path


def without_comments(text):
    """C with comments and the contents of literals blanked; line numbers stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'", re.S)

    def blank(match):
        piece = match.group(0)
        if piece[0] in "\"'":
            return piece[0] + piece[0]
        return "\n" * piece.count("\n")

    return pattern.sub(blank, text)


def check_any_text(path, text, lines):
    for number, line in enumerate(lines, 1):
        if path.suffix in CODE_SUFFIXES or path.suffix == ".txt" or path.name in TEXT_NAMES:
            if len(line) > LINE_MAX:
                report(path, number, f"{len(line)} columns; at most {LINE_MAX}")
        if path.suffix != ".md" and line != line.rstrip():
            report(path, number, "white space at the end of the line")
        if "\t" in line and path.name != "Makefile" and path.suffix != ".md":
            report(path, number, "tab; indent with spaces")
        if re.match(r"(<{7}|>{7}|\|{7}) ", line):
            report(path, number, "mark of an unresolved merge")
        if FOREIGN.search(line):
            report(path, number, "names a folder of somebody's machine")
    if text and not text.endswith("\n"):
        report(path, len(lines), "no newline at the end of the file")


def check_code(path, lines):
    skipped = 1 if lines and lines[0].startswith("#!") else 0
    if SPDX not in "".join(lines[skipped:skipped + 1]):
        report(path, 1, f"the first line must hold '{SPDX}' (the second after a #! line)")
    if len(lines) > FILE_LINES_MAX:
        report(path, len(lines), f"{len(lines)} lines; a file has at most {FILE_LINES_MAX}")


def check_c_functions(path, lines):
    """A function's body starts with a brace in the first column, its head at the line before the
    last blank, comment or directive above it."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
            while start > 1 and re.match(r"[\w ]", lines[start - 2]):
                start -= 1
        elif line.startswith("}") and start is not None:
            if number - start + 1 > FUNCTION_LINES_MAX:
                report(path, start, f"function of {number - start + 1} lines; "
                                    f"at most {FUNCTION_LINES_MAX}")
            start = None


def check_python_functions(path, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = node.end_lineno - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                report(path, node.lineno, f"function of {size} lines; at most {FUNCTION_LINES_MAX}")


def may_include(folder, name):
    if folder not in INCLUDES:
        return True  # tests reach into everything
    if name == "pto/kernel.h":
        return "kernel" in INCLUDES[folder]
    if name.startswith("pto/"):
        return folder == "include" or "public" in INCLUDES[folder] and name in PUBLIC
    owner = name.split("/")[0]
    return owner == folder or owner in INCLUDES[folder]


def check_c(path, text, folder):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)', line)
        if not match:
            continue
        name = match.group(2)
        if ".." in name.split("/"):
            report(path, number, "an include is written from runtime/, without '..'")
        ours = match.group(1) == '"' or name.startswith("pto/")
        if ours and not may_include(folder, name):
            report(path, number, f"{folder}/ may not include {name}")
    code = without_comments(text)
    words = {rf"\b{word}\b": why for word, why in BANNED.items()}
    if folder in LIBRARY:
        words.update({rf"(?<![\w.>]){word}": why for word, why in BANNED_IN_LIBRARY.items()})
    for number, line in enumerate(code.splitlines(), 1):
        for word, why in words.items():
            match = re.search(word, line)
            if match:
                report(path, number, f"'{match.group(0)}': {why}")


def check_dead_files(files):
    """Each C file is named by a build file, and each header is included by somebody."""
    builds = [(path.parent, path.read_text()) for path in files
              if path.name == "CMakeLists.txt" or path.suffix in (".cmake", ".sh")]
    included = set()
    for path in files:
        if path.suffix in (".c", ".h"):
            included.update(re.findall(r'#\s*include\s+["<]([^">]+)', path.read_text()))
    for path in files:
        if RUNTIME not in path.parents or path.suffix not in (".c", ".h"):
            continue
        name = path.relative_to(RUNTIME).as_posix()
        if path.suffix == ".c":
            # By its path from the build file, or by its whole one behind a variable.
            spellings = [(text, rf"(?<![\w./]){re.escape(path.relative_to(folder).as_posix())}\b")
                         for folder, text in builds if folder in path.parents]
            spellings += [(text, rf"\}}/{re.escape(name)}\b") for folder, text in builds]
            if not any(re.search(pattern, text) for text, pattern in spellings):
                report(path, 1, "no build file names this file")
        elif (not {name, re.sub(r"^(include|tests)/", "", name), path.name} & included
              and not any(f"}}/{name}" in text for _, text in builds)):
            report(path, 1, "nothing includes this file")


def check_versions():
    """CMake's version of the project and the header's are one."""
    cmake = re.search(r"VERSION (\d+)\.(\d+)\.(\d+) LANGUAGES",
                      (RUNTIME / "CMakeLists.txt").read_text()).groups()
    path = RUNTIME / "include/pto/pto.h"
    text = path.read_text()
    header = tuple(re.search(rf"PTO_VERSION_{part} (\d+)", text).group(1)
                   for part in ("MAJOR", "MINOR", "PATCH"))
    if header != cmake or f'PTO_VERSION "{".".join(cmake)}"' not in text:
        report(path, 1, f"version differs from CMakeLists.txt: {'.'.join(cmake)}")


def main():
    files = list(tree_files())
    for path in files:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        check_any_text(path, text, lines)
        if path.suffix in CODE_SUFFIXES or path.name == "CMakeLists.txt":
            check_code(path, lines)
        if path.suffix in (".c", ".h"):
            inside = path.relative_to(RUNTIME) if RUNTIME in path.parents else path
            check_c(path, text, inside.parts[0])
            check_c_functions(path, lines)
        elif path.suffix == ".py":
            check_python_functions(path, text)
    check_dead_files(files)
    check_versions()
    for finding in findings:
        print(finding)
    print(f"tidy: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
