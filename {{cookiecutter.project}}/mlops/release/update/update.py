"""`mlops update`: brings a newer state of the template into the project, as one commit on a branch.

The template makes the project twice, from the state that the project has and from the newer one. What
differs between the two is what Git merges into the project, in a temporary working tree: a file that the
owner has not changed becomes the template's, which is how the machinery is replaced, and a file that
moved keeps the owner's changes. The user's working tree and branches stay as they are.
"""

import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops import environments
from mlops.errors import MlopsError, Refused, counted
from mlops.release.data import dvc, private_store, repro, stage_code
from mlops.release.errors import GitError
from mlops.release.history import branches, obstacles
from mlops.release.history.git import Git
from mlops.release.places import scratch, worktree
from mlops.release.update import changelog, locks, parts, template, trees
from mlops.release.update.origin import FILE, MACHINERY, Origin, read_origin
from mlops.release.update.template import Bake

FOLDER = Path(".dvc/tmp/update")
BRANCH = "mlops-update"
PENDING = "refs/mlops/update"
"""The commit that an owner picks by hand, where the update has conflicts."""

RENAMES = ("-c", "merge.renames=true", "-c", "merge.directoryRenames=true")
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")

Say = Callable[[str], None]


def update_project(git: Git, ref: str | None, say: Say, *, dry_run: bool = False) -> None:
    """Makes the branch mlops-update, one commit ahead of HEAD; with `dry_run`, only says what it would hold.

    `ref` is a release, branch or commit of the template, by default its newest release. Raises Refused if
    there are conflicts; then the commit to pick by hand is at refs/mlops/update, and nothing else moved.
    """
    origin = read_origin(git.root)
    refuse_unready(git)
    folder = git.root / FOLDER
    if scratch.is_held(folder):
        raise Refused("another `mlops update` is running in this project: wait until it ends")
    with scratch.hold_scratch(folder), worktree.explain_full_disk(git.root):
        worktree.remove_worktree(git, folder)  # what a killed update has left
        try:
            say(f"fetching the template from {origin.address}")
            clone = template.clone_template(git, origin.address, folder / "template.git")
            commits = (
                template.recorded_commit(clone, origin),
                template.chosen_commit(clone, ref),
            )
            if commits[0] == commits[1]:
                say(f"up to date: the project has {origin.version} of the template")
                return
            old, new = bakes = [
                template.bake_project(clone, each, origin.answers) for each in commits
            ]
            template.fetch_bakes(git, clone, *bakes)
            text = (clone.read_file(new.commit, "CHANGELOG.md") or b"").decode()
            asked = list(changelog.sections_between(text, old.version, new.version))
            with worktree.temporary_worktree(git, "HEAD", FOLDER / "tree") as tree:
                Update(git, tree, origin, old, new, asked).make(say, dry_run=dry_run)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def refuse_unready(git: Git) -> None:
    """Raises Refused unless the working tree is clean, is dev's, and holds all of an earlier update."""
    obstacles.refuse_unfinished(git)
    environment = environments.environment_of(git.root)
    if environment != environments.CHAIN[0]:
        raise Refused(
            f"this is {environment}, and an update begins on {environments.CHAIN[0]}, from where it is "
            f"promoted: `git switch {environments.CHAIN[0]}`, then again"
        )
    begun = git.branch()
    if begun is None:
        raise Refused(f"no branch is checked out: `git switch {environments.CHAIN[0]}`, then again")
    branches.refuse_uncommitted(git, begun)
    branches.refuse_checked_out(git, BRANCH)
    earlier = git.commit(f"refs/heads/{BRANCH}")
    if earlier and not branches.is_ancestor(git, earlier, "HEAD"):
        raise Refused(
            f"the branch {BRANCH} holds an update that is not merged: `git merge {BRANCH}`, or "
            f"`git branch -D {BRANCH}` to begin anew"
        )


@dataclass(frozen=True)
class Update:
    """An update of the project at HEAD from one bake to another, made in the working tree `tree`."""

    git: Git
    tree: Git
    origin: Origin
    old: Bake
    new: Bake
    asked: list[str]

    @property
    def begun(self) -> str:
        """The branch that the update begins from, as a word of shell."""
        return shlex.quote(self.git.branch() or "HEAD")

    @property
    def title(self) -> str:
        return f"Update from the template, {self.old.name} to {self.new.name}"

    def make(self, say: Say, *, dry_run: bool) -> None:
        """Merges, commits and moves the branch. Raises Refused if there are conflicts."""
        deleted = parts.deleted_parts(self.tree, self.old.tree, self.new.tree, self.origin.without)
        before, after = (
            parts.without(self.tree, bake.tree, deleted) for bake in (self.old, self.new)
        )
        changed = trees.differing(self.tree, "AMRT", before, "HEAD", MACHINERY)
        relocked = self.changed_locks(before, after)
        pick = self.commit_to_pick(before, after, deleted, relocked)
        self.tree.run("reset", "--quiet", "--hard", "HEAD")
        for line in self.notes(changed, deleted):
            say(line)
        if conflicts := self.merge(pick):
            if not dry_run:
                self.git.run("update-ref", PENDING, pick)
            raise Refused("\n".join(self.by_hand(conflicts, relocked, dry_run=dry_run)))
        if relocked:
            say(f"resolving the libraries again, since you have changed {', '.join(relocked)}")
            locks.resolve(self.tree, self.read_locks(after))
            self.tree.run("add", "--", locks.FOLDER)
        self.tree.run(*NO_HOOKS, "commit", "--quiet", "--message", self.title)
        made = self.tree.run("rev-parse", "HEAD")
        for line in self.consequences():
            say(line)
        if dry_run:
            say(
                f"nothing has changed; without --dry-run the branch {BRANCH} would hold this update"
            )
            return
        self.git.run("update-ref", "-d", PENDING)
        self.git.run("update-ref", "-m", self.title, f"refs/heads/{BRANCH}", made)
        for line in self.next_steps():
            say(line)

    def changed_locks(self, before: str, after: str) -> list[str]:
        """Returns the locks that the owner has changed, if the template has changed any: those to resolve."""
        folders = [f"{tree}:{locks.FOLDER}" for tree in (before, after)]
        if len({self.tree.run("rev-parse", folder) for folder in folders}) == 1:
            return []
        own = trees.blobs(self.tree, "HEAD", locks.FOLDER)
        shipped = trees.blobs(self.tree, before, locks.FOLDER)
        return [path for path, blob in shipped.items() if path in own and own[path] != blob]

    def read_locks(self, tree: str) -> dict[str, str]:
        paths = trees.blobs(self.tree, tree, locks.FOLDER)
        return {path: self.read(tree, path) for path in paths}

    def read(self, tree: str, path: str) -> str:
        return (self.tree.read_file(tree, path) or b"").decode()

    def commit_to_pick(
        self, before: str, after: str, deleted: list[str], relocked: list[str]
    ) -> str:
        """Returns a commit that changes one bake into the other, .template.yaml included.

        In it a lock that the owner has changed becomes the pins that `make lock` is to prefer.
        """
        ours = {path: self.read("HEAD", path) for path in (FILE, *relocked)}
        machinery = self.tree.run("rev-parse", f"{after}:{MACHINERY}")
        theirs = {FILE: self.next_origin(deleted, machinery).text()} | {
            path: locks.preferred_pins(
                self.read(before, path), self.read("HEAD", path), self.read(after, path)
            )
            for path in relocked
        }
        first, last = (
            trees.with_files(self.tree, tree, changes)
            for tree, changes in ((before, ours), (after, theirs))
        )
        base = self.tree.run("commit-tree", first, "-m", self.old.name)
        return self.tree.run("commit-tree", last, "-p", base, "-m", self.title)

    def next_origin(self, deleted: list[str], machinery: str) -> Origin:
        return Origin(
            self.origin.address,
            self.new.version,
            self.new.commit,
            self.new.answers,
            deleted,
            machinery,
        )

    def merge(self, pick: str) -> list[str]:
        """Merges the commit into the working tree and returns the files with conflicts."""
        try:
            self.tree.run(*NO_HOOKS, *RENAMES, "cherry-pick", "--no-commit", pick)
        except GitError:
            listed = self.tree.run("diff", "--name-only", "--diff-filter=U", "-z").split("\0")
            if conflicts := list(filter(None, listed)):
                return conflicts
            raise
        return []

    def notes(self, changed: list[str], deleted: list[str]) -> Iterator[str]:
        """Yields a line for each thing that the update does not simply replace."""
        yield f"from {self.old.name} to {self.new.name}"
        if changed:
            yield (
                f"you have changed the machinery, so that these files are merged and not replaced: "
                f"{', '.join(changed)}"
            )
        if deleted:
            yield f"stays deleted: {', '.join(deleted)}"
        for question in self.new.answers.keys() - self.origin.answers.keys():
            yield (
                f"the template asks for {question!r} now, and {FILE} takes the default: "
                f"{self.new.answers[question]!r}"
            )

    def by_hand(self, conflicts: list[str], relocked: list[str], *, dry_run: bool) -> Iterator[str]:
        """Yields which files have conflicts, and the commands of Git that finish the update."""
        yield (
            "Git can't merge what you and the template have changed in "
            f"{', '.join(conflicts)}; no branch and no file has changed"
        )
        if dry_run:
            yield "without --dry-run this command says how to merge them by hand"
            return
        yield "merge them by hand:"
        yield f"  git switch -C {BRANCH} && git {shlex.join(RENAMES)} cherry-pick {PENDING}"
        yield f"  git add {shlex.join(conflicts)}    # once they are as they should be"
        yield "  git cherry-pick --continue"
        if relocked:
            yield "  make lock INSTALL=: && git commit --all --amend --no-edit"
        yield f"  git switch {self.begun} && git merge {BRANCH} && make install"
        yield f"`git cherry-pick --abort && git switch {self.begun}` gives it up"

    def consequences(self) -> Iterator[str]:
        """Yields what the commit in the working tree changes, and which stages run again because of it."""
        files = trees.differing(self.tree, "ACDMRT", "HEAD~", "HEAD")
        own = [path for path in files if path.split("/")[0] not in (MACHINERY, FILE)]
        count = sum(path.startswith(f"{MACHINERY}/") for path in files)
        yield f"the machinery: {counted(count, 'file')}"
        yield f"other files: {', '.join(own) or 'none'}"
        settings = private_store.shared_settings(self.tree.root, self.git.root)
        try:
            with dvc.open_repo(self.tree.root, settings) as repo:
                stale = repro.unreproduced(repo)
                findings = list(stage_code.code_findings(repo))
        except MlopsError as error:
            yield f"which stages run again is not known, since DVC can't read them: {error}"
        else:
            yield f"`mlops repro` will run: {', '.join(stale) or 'nothing'}" + (
                ", and what depends on a result that changes" if stale else ""
            )
            yield from (f"to correct before `mlops repro`: {finding}" for finding in findings)
        yield from self.asked

    def next_steps(self) -> Iterator[str]:
        yield f"the branch {BRANCH} holds the update; next:"
        yield f"  git diff {self.begun} {BRANCH}"
        yield f"  git merge {BRANCH} && git branch -d {BRANCH}"
        yield "  make install"
        yield "  mlops repro    # it says how to commit what changed"
