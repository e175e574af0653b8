"""The units let the programs do their work and little else."""

import subprocess
import unittest
from pathlib import Path

DEPLOY = Path(__file__).parent.parent
UNITS = ("register", "gateway", "worker")

# Of 100, by `systemd-analyze security`.
EXPOSURE_MAX = 30


class Units(unittest.TestCase):
    def test_exposure(self):
        for unit in UNITS:
            file = DEPLOY / "systemd" / f"ringway-{unit}.service"
            command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}", file]
            judged = subprocess.run(command, check=False, capture_output=True, text=True)
            self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr)

    def test_the_watchdog_waits_for_three_times_the_silence_of_a_thread(self):
        # What `/healthz` calls hung is what programs say to a watchdog of this length.
        text = (DEPLOY / "systemd" / "ringway-.service.d" / "10-common.conf").read_text(encoding="utf-8")
        self.assertIn("\nWatchdogSec=30\n", text)

    def test_each_has_a_config_file(self):
        for unit in UNITS:
            text = (DEPLOY / "systemd" / f"ringway-{unit}.service").read_text(encoding="utf-8")
            self.assertIn(f"\nExecStart=ringway-{unit} --config /etc/ringway/{unit}.toml\n", text)
            self.assertTrue((DEPLOY / "etc" / f"{unit}.toml").exists())


if __name__ == "__main__":
    unittest.main()
