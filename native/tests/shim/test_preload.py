"""What deploy/berthd has loaded into Node: every loop's watches are those of a user that nobody else has."""

import os
import subprocess
import unittest

from supervisor import Supervisor, libc

NODE, PRELOAD = os.environ["BERTH_NODE"], os.environ["BERTH_PRELOAD"]
SCRIPT = """
import { Worker } from 'node:worker_threads';
import { writeFileSync } from 'node:fs';
const worker = new Worker('setTimeout(() => {}, 10)', { eval: true });
await new Promise((resolve) => worker.on('exit', resolve));
const status = (await import('node:fs')).readFileSync('/proc/thread-self/status', 'utf8');
process.stdout.write(JSON.stringify([process.env.LD_PRELOAD ?? null, /Uid:(.*)/.exec(status)[1].trim()]));
"""


def node(without_setuid=False):
    supervisor = Supervisor()

    def enter():
        if without_setuid:
            libc.prctl(24, 7, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SETUID
        supervisor.enter()
    with subprocess.Popen([NODE, "--input-type=module", "-e", SCRIPT], env={"LD_PRELOAD": PRELOAD}, preexec_fn=enter,
                          stdout=subprocess.PIPE) as child:
        supervisor.serve()
        out, _ = child.communicate(timeout=30)
    return supervisor, child.returncode, out.decode()


class Preload(unittest.TestCase):
    def test_every_loop_of_node_is_apart_and_its_threads_go_on_as_root(self):
        supervisor, code, said = node()
        self.assertEqual((code, said), (0, '[null,"0\\t0\\t0\\t0"]'))
        users = {call.uids[0] for call in supervisor.made}
        self.assertGreaterEqual(len(supervisor.made), 3)  # the main thread's, the platform's, the worker's
        self.assertEqual(len(users), 1)
        self.assertGreaterEqual(users.pop(), 1 << 31)
        self.assertTrue(all(call.uids[1:] == [0, 0, 0] for call in supervisor.made))

    def test_node_starts_also_where_it_may_not_change_its_user(self):
        supervisor, code, _ = node(without_setuid=True)
        self.assertEqual((code, {call.uids[0] for call in supervisor.made}), (0, {0}))


if __name__ == "__main__":
    unittest.main()
