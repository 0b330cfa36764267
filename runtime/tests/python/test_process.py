# SPDX-License-Identifier: Apache-2.0
"""The process around the module: Ctrl-C, interpreter exit, sub-interpreters, memory failures."""

import pytest

from conftest import run_python

OPEN = ("import gc, os, signal, sys, threading, pto_runtime\n"
        "from conftest import *\n"
        "os.environ['PTO_BACKEND'] = 'sim'\n")


def check(code, *arguments, **options):
    done = run_python(OPEN + code, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SLEEPY = ("runner = open_runner(2, sys.argv[1])\n"
          "graph = pto_runtime.Graph()\n"
          "for _ in range(10000):\n"
          "    graph.add_task([5_000_000], SLEEP_NS)\n"
          "def interrupt():\n"
          "    while runner.run_count == 0:\n"
          "        pass\n"
          "    os.kill(os.getpid(), signal.SIGINT)\n")


def test_ctrl_c_ends_a_run(kernel_file):
    """The graph would take 25 s; the run after it is complete."""
    lines = check(SLEEPY +
                  "threading.Thread(target=interrupt).start()\n"
                  "try:\n"
                  "    runner.run(graph)\n"
                  "except KeyboardInterrupt:\n"
                  "    print('interrupted')\n"
                  "print(runner.state)\n"
                  "done = sum(core.completed for core in runner.handshake_results())\n"
                  "print(0 <= done < 10000)\n"
                  "short = pto_runtime.Graph()\n"
                  "for _ in range(100):\n"
                  "    short.add_task([], NOP)\n"
                  "print(runner.run(short))\n"
                  "print(sum(core.completed for core in runner.handshake_results()))\n"
                  "runner.finalize()\n", kernel_file)
    assert lines == ["interrupted", "ready", "True", "0", "100"]


def test_the_interrupted_graph_runs_again(kernel_file):
    lines = check("runner = open_runner(2, sys.argv[1])\n"
                  "words = runner.allocate_tensor(4 * 2001)\n"
                  "runner.copy_to_device(words, bytes(4 * 2001))\n"
                  "graph = pto_runtime.Graph()\n"
                  "for task in range(1000):\n"
                  "    graph.add_task([1_000_000], SLEEP_NS)\n"
                  "    graph.add_task([words, words + 4 + 4 * task, 1], TRACE)\n"
                  "    graph.add_successor(2 * task, 2 * task + 1)\n"
                  "def interrupt():\n"
                  "    while runner.run_count == 0:\n"
                  "        pass\n"
                  "    os.kill(os.getpid(), signal.SIGINT)\n"
                  "threading.Thread(target=interrupt).start()\n"
                  "try:\n"
                  "    runner.run(graph)\n"
                  "except KeyboardInterrupt:\n"
                  "    print('interrupted')\n"
                  "runner.copy_to_device(words, bytes(4 * 2001))\n"
                  "runner.run(graph)\n"
                  "import array\n"
                  "seen = array.array('I', bytes(4 * 1001))\n"
                  "runner.copy_from_device(seen, words)\n"
                  "print(seen[0], sorted(seen[1:]) == list(range(1, 1001)))\n", kernel_file)
    assert lines == ["interrupted", "1000 True"]


def test_handler_without_an_exception_lets_the_run_go_on(kernel_file):
    lines = check("seen = []\n"
                  "def handler(number, frame):\n"
                  "    seen.append((runner.state, len(graph)))\n"
                  "    for call in (lambda: runner.run(graph), lambda: runner.free_tensor(64),\n"
                  "                 runner.finalize, runner.handshake_results):\n"
                  "        try:\n"
                  "            call()\n"
                  "        except pto_runtime.Busy as error:\n"
                  "            seen.append(error.op)\n"
                  "signal.signal(signal.SIGINT, handler)\n" +
                  SLEEPY.replace("10000", "100") +
                  "thread = threading.Thread(target=interrupt)\n"
                  "thread.start()\n"
                  "print(runner.run(graph), seen)\n"
                  "print(sum(core.completed for core in runner.handshake_results()))\n",
                  kernel_file)
    assert lines == ["0 [('ready', 100), 'run', 'free_tensor', 'finalize', 'handshake_results']",
                     "100"]


def test_exceptions_of_handlers_end_a_run(kernel_file):
    lines = check("def handler(number, frame):\n"
                  "    raise ZeroDivisionError('mine')\n"
                  "signal.signal(signal.SIGINT, handler)\n" + SLEEPY +
                  "threading.Thread(target=interrupt).start()\n"
                  "try:\n"
                  "    runner.run(graph)\n"
                  "except ZeroDivisionError as error:\n"
                  "    print(error, runner.state)\n", kernel_file)
    assert lines == ["mine ready"]


def test_runs_in_other_threads_are_not_interrupted(kernel_file):
    lines = check("runner = open_runner(2, sys.argv[1])\n"
                  "graph = pto_runtime.Graph()\n"
                  "for _ in range(40):\n"
                  "    graph.add_task([5_000_000], SLEEP_NS)\n"
                  "results = []\n"
                  "thread = threading.Thread(target=lambda: results.append(runner.run(graph)))\n"
                  "try:\n"
                  "    thread.start()\n"
                  "    while runner.run_count == 0:\n"
                  "        pass\n"
                  "    os.kill(os.getpid(), signal.SIGINT)\n"
                  "    thread.join()\n"
                  "except KeyboardInterrupt:\n"
                  "    print('main was interrupted')\n"
                  "thread.join()\n"
                  "print(results)\n", kernel_file)
    assert lines == ["main was interrupted", "[0]"]


def test_ctrl_c_at_many_moments(kernel_file):
    """SIGINT every few milliseconds while graphs are built, copied and run."""
    lines = check("import itertools, random\n"
                  "random.seed(7)\n"
                  "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
                  "runner = open_runner(3, sys.argv[1])\n"
                  "word = runner.allocate_tensor(4)\n"
                  "interrupts = 0\n"
                  "for turn in itertools.count():\n"
                  "    if interrupts >= 60:\n"
                  "        break\n"
                  "    try:\n"
                  "        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 2e-2))\n"
                  "        while True:\n"
                  "            graph = pto_runtime.Graph()\n"
                  "            for _ in range(200):\n"
                  "                graph.add_task([10_000], SLEEP_NS)\n"
                  "            runner.copy_to_device(word, b'1234')\n"
                  "            runner.run(graph)\n"
                  "    except KeyboardInterrupt:\n"
                  "        interrupts += 1\n"
                  "signal.setitimer(signal.ITIMER_REAL, 0)\n"
                  "print(runner.state, runner.live_blocks, runner.run(pto_runtime.Graph()))\n",
                  kernel_file)
    assert lines == ["ready 1 0"]


@pytest.mark.parametrize("keep", [
    "runner = open_runner()",
    "runner = pto_runtime.DeviceRunner.get(); runner.init(0, 3, AICPU, AICORE)",
    "pto_runtime.DeviceRunner.get().init(0, 3, AICPU, AICORE)",
    "sys.keep = runner = open_runner(); sys.me = sys",
    "graph = pto_runtime.Graph(); graph.add_task([], 0); sys.keep = graph",
    "class Mine(pto_runtime.DeviceRunner): pass\nrunner = Mine(); runner.me = runner\n"
    "runner.init(0, 3, AICPU, AICORE)",
    "class Late:\n    def __del__(self):\n        runner.finalize()\nrunner = open_runner()\n"
    "late = Late()",
    "runner = open_runner(); runner.run(pto_runtime.Graph()); os.environ['X'] = '1'",
    "pto_runtime.keep = open_runner()",
])
def test_exit_with_live_objects(keep):
    assert check(keep + "\nprint('end')\n") == ["end"]


def test_exit_while_a_daemon_thread_runs(kernel_file):
    lines = check("runner = open_runner(2, sys.argv[1])\n"
                  "graph = pto_runtime.Graph()\n"
                  "for _ in range(10000):\n"
                  "    graph.add_task([5_000_000], SLEEP_NS)\n"
                  "threading.Thread(target=runner.run, args=(graph,), daemon=True).start()\n"
                  "while runner.run_count == 0:\n"
                  "    pass\n"
                  "print('end')\n", kernel_file)
    assert lines == ["end"]


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
    def create():
        return interpreters.create('{kind}')
    def execute(id, code):
        failed = interpreters.exec(id, code)
        assert failed is None, failed
except ImportError:
    import _xxsubinterpreters as interpreters
    def create():
        return interpreters.create()
    execute = interpreters.run_string
inner = '''
import os, sys
sys.path[:] = %r
import pto_runtime
runner = pto_runtime.DeviceRunner.get()
assert runner is pto_runtime.DeviceRunner.get()
assert runner.state == "closed"
runner.init(1, 2, %r, %r)
block = runner.allocate_tensor(4)
graph = pto_runtime.Graph()
graph.add_task([block, block, block, 1], 0)
assert runner.run(graph) == 0
try:
    graph.add_task([None], 0)
except pto_runtime.InvalidType:
    pass
print("inner ran", flush=True)
''' % (sys.path, AICPU, AICORE)
outer = pto_runtime.DeviceRunner.get()
outer.init(0, 2, AICPU, AICORE)
for _ in range(3):
    id = create()
    execute(id, inner)
    interpreters.destroy(id)
assert outer.state == "ready" and outer.run(pto_runtime.Graph()) == 0
print("outer ran")
"""


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_subinterpreters(kind):
    """Each interpreter has its own default runner; from 3.13 also with a GIL of its own."""
    assert check(SUBINTERPRETER.replace("{kind}", kind)) == ["inner ran"] * 3 + ["outer ran"]


def test_import_in_many_interpreters_and_reload():
    lines = check("for turn in range(5):\n"
                  "    for name in [name for name in sys.modules if 'pto_runtime' in name]:\n"
                  "        del sys.modules[name]\n"
                  "    import pto_runtime\n"
                  "    pto_runtime.Graph().add_task([1.0], 0)\n"
                  "    gc.collect()\n"
                  "print(pto_runtime.DeviceRunner.get().state)\n")
    assert lines == ["closed"]


def test_no_memory_inside_python():
    """Every allocation of the interpreter fails in turn: MemoryError and nothing else."""
    pytest.importorskip("_testcapi", reason="this Python is built without _testcapi")
    lines = check("import _testcapi, logging\n"
                  "runner = open_runner()\n"
                  "block = runner.allocate_tensor(64)\n"
                  "graph = pto_runtime.Graph()\n"
                  "graph.add_task([block, block, block, 1], 0)\n"
                  "other = pto_runtime.Graph()\n"
                  "cycle = pto_runtime.Graph()\n"
                  "for _ in range(2):\n"
                  "    cycle.add_task([], 0)\n"
                  "cycle.add_successor(0, 1)\n"
                  "cycle.add_successor(1, 0)\n"
                  "host = bytearray(64)\n"
                  "calls = [lambda: pto_runtime.Graph(), lambda: other.add_task((1, 2.5), 0),\n"
                  "         lambda: other.add_task([None], 0), lambda: cycle.validate(),\n"
                  "         lambda: other.add_task([1 << 70], 0), lambda: repr(graph),\n"
                  "         lambda: runner.copy_to_device(block, host),\n"
                  "         lambda: runner.copy_to_device(0, host), lambda: repr(runner),\n"
                  "         lambda: runner.handshake_results(), lambda: runner.backend,\n"
                  "         lambda: pto_runtime.DeviceRunner(),\n"
                  "         lambda: runner.free_tensor(runner.allocate_tensor(64))]\n"
                  "for call in calls:\n"
                  "    for start in range(60):\n"
                  "        _testcapi.set_nomemory(start, start + 1)\n"
                  "        try:\n"
                  "            call()\n"
                  "        except MemoryError:\n"
                  "            pass\n"
                  "        except pto_runtime.Error:\n"
                  "            pass\n"
                  "        finally:\n"
                  "            _testcapi.remove_mem_hooks()\n"
                  "print(runner.live_blocks, runner.run(graph))\n")
    assert lines[-1].endswith(" 0")


def test_references_do_not_leak():
    """The number of blocks that the interpreter holds does not grow with the number of calls."""
    lines = check("runner = open_runner()\n"
                  "block = runner.allocate_tensor(64)\n"
                  "host = bytearray(64)\n"
                  "graph = pto_runtime.Graph()\n"
                  "graph.add_task([block, block, block, 1], func_id=0)\n"
                  "def refuse(call):\n"
                  "    try:\n"
                  "        call()\n"
                  "    except pto_runtime.Error:\n"
                  "        pass\n"
                  "def once():\n"
                  "    fresh = pto_runtime.Graph()\n"
                  "    task = fresh.add_task([block, 1.5, (1 << 63) + 7, -5], func_id=3)\n"
                  "    other = fresh.add_task((2 ** 40, block), 1)\n"
                  "    fresh.add_successor(task, to_task=other)\n"
                  "    fresh.set_args(0, [2 ** 50])\n"
                  "    runner.copy_to_device(block, host)\n"
                  "    runner.copy_from_device(host_data=host, dev_ptr=block)\n"
                  "    runner.free_tensor(runner.allocate_tensor(100))\n"
                  "    runner.run(graph, launch_aicpu_num=1)\n"
                  "    runner.handshake_results()\n"
                  "    repr(runner), repr(fresh), runner.backend, runner.state\n"
                  "    refuse(lambda: runner.copy_to_device(5, host))\n"
                  "    refuse(lambda: runner.copy_from_device(b'1', block))\n"
                  "    refuse(lambda: fresh.add_task([1, None], 0))\n"
                  "    refuse(lambda: fresh.add_task([1 << 80], 0))\n"
                  "    refuse(lambda: fresh.add_task('12', 0))\n"
                  "    refuse(lambda: fresh.add_successors(host))\n"
                  "    refuse(lambda: runner.run(None))\n"
                  "    refuse(lambda: runner.init(0, 1, 'a', 'b'))\n"
                  "    pto_runtime.DeviceRunner.get(); pto_runtime.DeviceRunner()\n"
                  "def held():\n"
                  "    gc.collect()\n"
                  "    return sys.getallocatedblocks()\n"
                  "for _ in range(200):\n"
                  "    once()\n"
                  "before = held()\n"
                  "for _ in range(2000):\n"
                  "    once()\n"
                  "print(held() - before)\n")
    assert abs(int(lines[-1])) < 200  # one leaked object in each turn would be 2000

