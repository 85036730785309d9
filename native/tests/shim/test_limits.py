"""What one shim holds at most, and that each refusal has the limit's name and number."""

import os
import unittest

from harness import Pod, ShimError, eventually, pb

STREAMS, RESERVED, ATTACHES, CONTAINERS, REFUSED = 1024, 256, 16, 512, 16


class Limits(unittest.TestCase):
    def setUp(self):
        self.null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, self.null)
        self.counter = 0

    def pod(self, **values):
        pod = Pod(**values)
        self.addCleanup(pod.close)
        return pod

    def exec(self, pod, args=("sleep", "1000"), **values):
        """A connection on which a command runs."""
        self.counter += 1
        client = pod.connect()
        client.call((self.null,) * 3, exec=pb.Exec(container_id="c", exec_id=f"e{self.counter}",
                                                   process=pod.process(args).SerializeToString(), **values))
        return client

    def attach(self, pod):
        client = pod.connect()
        client.call((self.null,) * 3, attach=pb.Attach(container_id="c"))
        return client

    def refused(self, call, text):
        with self.assertRaises(ShimError) as caught:
            call()
        self.assertEqual(caught.exception.kind, "LIMIT")
        self.assertIn(text, caught.exception.message)

    def probe_works(self, pod):
        client = self.exec(pod, ["true"], probe=True)
        self.assertEqual(client.wait_exec(f"e{self.counter}").exit_code, 0)
        client.close()

    def test_streams_fill_their_places_and_a_probe_finds_one(self):
        """128 open execs once closed the door to the next probe without a word."""
        pod = self.pod()
        pod.up("c")
        streams = [self.attach(pod)]
        for count in (127, 128, 129, STREAMS - 1, STREAMS):
            while len(streams) < count:
                streams.append(self.exec(pod))
            self.probe_works(pod)
        text = f"{STREAMS} streams in a pod"
        self.refused(lambda: self.exec(pod), text)
        self.refused(lambda: self.attach(pod), text)
        self.probe_works(pod)
        pod.state()
        streams.pop().close()  # its command goes on, and still has a place among the execs
        streams.append(self.exec(pod))
        streams.pop(0).close()
        self.refused(lambda: self.exec(pod), f"{STREAMS} execs with streams")
        self.probe_works(pod)

    def test_connections_beyond_the_limit_are_told_so(self):
        pod = self.pod()
        pod.up("c")
        others = [pod.connect() for _ in range(STREAMS + RESERVED - 1)]  # one is the harness's
        for client in others[-2:]:
            client.call(get_state=pb.GetState())
        for _ in range(REFUSED):
            late = pod.connect()
            self.refused(lambda: late.call(get_state=pb.GetState()), f"{STREAMS + RESERVED} connections")
        pod.state()
        queued = pod.connect()  # waits, and is served when there is room
        stream = queued.send(get_state=pb.GetState())
        for client in pod.clients[1:-1]:
            client.close()
        self.assertEqual(queued.wait(stream).pod_id, pod.id)
        self.probe_works(pod)

    def test_probes_have_a_limit_too(self):
        pod = self.pod()
        pod.up("c")
        for _ in range(STREAMS + RESERVED - 1):
            self.exec(pod, probe=True)
        late = pod.connect()
        self.refused(lambda: late.call((self.null,) * 3, exec=pb.Exec(container_id="c", exec_id="late", probe=True)),
                     f"{STREAMS + RESERVED} connections")
        pod.state()

    def test_attaches_of_a_container(self):
        pod = self.pod()
        pod.up("c")
        clients = [self.attach(pod) for _ in range(ATTACHES)]
        self.refused(lambda: self.attach(pod), f"{ATTACHES} clients attached to a container")
        clients.pop().close()
        self.assertTrue(eventually(lambda: self.attach(pod)))

    def test_containers_of_a_pod(self):
        pod = self.pod()
        for i in range(CONTAINERS):
            pod.create(f"c{i}", ["true"], log=False, mounts=(), masked=(), readonly=())
        self.refused(lambda: pod.create("late", ["true"], log=False), f"{CONTAINERS} containers in a pod")
        pod.client.call(delete_container=pb.DeleteContainer(id="c0"))
        pod.create("late", ["true"], log=False)

    def test_with_few_descriptors_streams_leave_some_for_probes(self):
        pod = self.pod(nofile=1100)
        pod.up("c")
        with self.assertRaises(ShimError) as caught:
            while True:
                self.exec(pod)
        self.assertEqual(caught.exception.kind, "LIMIT")
        self.assertIn("1100 open files of the shim", caught.exception.message)
        self.assertGreater(self.counter, 200)
        for _ in range(RESERVED // 2):
            self.exec(pod, probe=True)
        self.probe_works(pod)


if __name__ == "__main__":
    unittest.main()
