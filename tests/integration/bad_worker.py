#!/usr/bin/python3
"""Workers that are alive and do not do their work.

    bad_worker.py hold|vouch|swallow|stuck ENDPOINT [NAME]

hold: a fetcher that holds its jobs and vouches for none. vouch: the same, but it
vouches for all of them, for ever. swallow: a hasher that takes bodies and gives
no digest. stuck: a hasher that takes nothing.
"""
import sys

import pyworker


class Holder(pyworker.Fetcher):
    def turn(self):
        self.handle(50)

    def vouch(self):
        return []


class Voucher(Holder):
    def vouch(self):
        return [job[:2] for job in self.jobs]


class Swallower(pyworker.Hasher):
    def take(self, suites, segment, data):
        self.say("took", f"job={segment[0]}")


class Stuck(pyworker.Hasher):
    def turn(self):
        self.receive(50)


def main():
    kind, endpoint, *name = sys.argv[1:]
    kinds = {"hold": Holder, "vouch": Voucher, "swallow": Swallower,
             "stuck": Stuck}
    kinds[kind](endpoint, name[0] if name else f"bad-{kind}").run()


if __name__ == "__main__":
    main()
