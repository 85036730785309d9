"""What is built: the program that is delivered has nothing of the one for the sanitizers."""

import subprocess
import unittest

from harness import SHIM, Pod, comm
from reports import SANITIZED


class Build(unittest.TestCase):
    def test_only_the_build_for_the_sanitizers_has_them_and_keeps_reports(self):
        with open(SHIM, "rb") as file:
            program = file.read()
        for mark in (b"__asan_", b"__ubsan_", b"BERTH_SANITIZER_REPORTS"):
            self.assertEqual(mark in program, SANITIZED, mark)

    def test_the_delivered_program_needs_no_library(self):
        headers = subprocess.run(["readelf", "-lW", SHIM], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(b"INTERP" in headers, SANITIZED)

    @unittest.skipIf(SANITIZED, "its pause keeps the sanitizers' books")
    def test_pause_keeps_hardly_a_page_of_its_own(self):
        with Pod() as pod:
            pause = next(pid for pid in pod.descendants() if comm(pid) == "berth-pause")
            with open(f"/proc/{pause}/smaps_rollup") as file:
                private = sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
            self.assertLessEqual(private, 16)


if __name__ == "__main__":
    unittest.main()
