"""The cases of the table: how many bodies of which size."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    key: str
    size: str  # of each body, for people
    count: int  # URLs
    bytes: int  # of each body
    files: int  # different bodies; URLs beyond repeat them under another query

    @property
    def title(self):
        return f"{self.count:,} x {self.size}"

    @property
    def is_bulk(self):
        """Whether bytes, not URLs, are what is counted."""
        return self.bytes >= 1024 * 1024

    def part(self, fraction):
        """The same case with fewer URLs."""
        return dataclasses.replace(self, count=max(1, self.count // fraction))


CASES = [
    Case("1k", "1 KiB", 20_000, 1024, 5_000),
    Case("10k", "10 KiB", 20_000, 10 * 1024, 5_000),
    Case("100k", "100 KiB", 10_000, 100 * 1024, 1_000),
    Case("10m", "10 MiB", 100, 10 * 1024 * 1024, 20),
]

# What keys cost is measured with these.
KEYS_CASES = [
    Case("10k-keys", "10 KiB", 10_000, 10 * 1024, 5_000),
    CASES[-1],
]
