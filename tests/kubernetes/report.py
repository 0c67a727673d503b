"""Counts what was checked and says it, a line each."""


class Report:
    def __init__(self):
        self.passed = self.skipped = 0
        self.failed = []

    def check(self, what, errors):
        """errors: what is wrong, nothing if all is well."""
        errors = list(errors)
        if errors:
            self.failed.append("\n  ".join([f"FAILED: {what}", *errors[:20]]))
            print(self.failed[-1], flush=True)
        else:
            self.passed += 1
            print(f"ok: {what}", flush=True)

    def skip(self, what, why):
        self.skipped += 1
        print(f"skipped: {what}: {why}", flush=True)

    def close(self):
        """What failed once more, the numbers, and the exit code."""
        print(*self.failed, sep="\n", end="\n" if self.failed else "")
        print(f"{self.passed} passed, {len(self.failed)} failed, "
              f"{self.skipped} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0
