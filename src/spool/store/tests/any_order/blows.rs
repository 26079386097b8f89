//! What a run suffers from outside: crashes, restarts, a disk that fails, files that somebody harms; and
//! that nothing of a harmed file is deleted.

use std::collections::BTreeSet;

use super::super::super::super::disk::DiskWork;
use super::super::super::super::line;
use super::Run;

impl Run {
    pub(super) fn crash(&mut self) {
        let cut = self.random.one_in(2);
        self.disk.state().dies_in = Some(self.random.below(15));
        match self.random.below(5) {
            0 => {
                // it dies while it writes, and says nothing more
                let now = self.now;
                for _ in 0..self.random.below(4) {
                    let id = self.taken;
                    self.taken += 1;
                    self.spool().append("meter", now, |epoch, seq| format!("{epoch} {seq} {id}"));
                }
            }
            1 => self.work(),
            2 => drop(self.pending.take().map(DiskWork::run)),
            3 => {
                let now = self.now;
                self.spool.take().expect("it is open").close(now);
            }
            _ => {}
        }
        self.spool = None;
        self.pending = None;
        let mut state = self.disk.state();
        state.dies_in = None;
        if cut {
            state.cut_power();
        }
        drop(state);
        *self.operations.entry(if cut { "power cut" } else { "kill" }).or_default() += 1;
        self.open();
    }

    pub(super) fn restart(&mut self) {
        self.finish_work();
        let now = self.now;
        self.spool.take().expect("it is open").close(now);
        self.open();
    }

    pub(super) fn harm(&mut self) {
        let before = self.ids_on_disk();
        let mut state = self.disk.state();
        let names: Vec<String> = state.files().into_iter().map(|(name, _)| name).collect();
        let names: Vec<&String> = names.iter().filter(|name| !name.contains("damaged")).collect();
        let what = if names.is_empty() || self.random.one_in(12) {
            state.remove_folder();
            self.harmed.clear();
            "folder removed"
        } else {
            let name = names[usize::try_from(self.random.below(names.len() as u64)).expect("small")].clone();
            let what = state.harm(&name);
            self.harmed.remove(&name);
            if matches!(what, "bit" | "cut" | "zeros") && name.starts_with("readings-") {
                let bytes = state.files().into_iter().find(|(other, _)| *other == name).expect("there").1;
                self.damage_said.remove(&name);
                // cut between two lines it is understood
                if line::read(&bytes).1 > 0 {
                    self.harmed.insert(name, bytes);
                }
            }
            what
        };
        drop(state);
        let after = self.ids_on_disk();
        self.hit.extend(before.difference(&after));
        *self.operations.entry(what).or_default() += 1;
    }

    /// Readings in good lines.
    fn ids_on_disk(&self) -> BTreeSet<u64> {
        let files = self.disk.state().files();
        let texts = files.iter().filter(|(name, _)| name.ends_with(".log")).flat_map(|(_, bytes)| line::read(bytes).0);
        texts.filter_map(|text| text.rsplit(' ').next()?.parse().ok()).collect()
    }

    pub(super) fn change_faults(&mut self) {
        let mut state = self.disk.state();
        state.one_in = [0, 0, 100, 20, 3][usize::try_from(self.random.below(5)).expect("small")];
        state.is_full = self.random.one_in(5);
    }

    pub(super) fn nothing_damaged_is_deleted(&mut self) {
        // the last file stays until there is another one
        self.append(1);
        self.restart();
        self.append(1);
        self.settle();
        self.send(100);
        self.ack(100);
        let files = self.disk.state().files();
        for (name, bytes) in self.harmed.iter().filter(|(name, _)| self.damage_said.contains(*name)) {
            let is_kept = files.iter().any(|(other, now)| other.starts_with(name.as_str()) && now.starts_with(bytes));
            assert!(is_kept, "{name} was damaged and is gone: {:?}", files.iter().map(|(n, _)| n).collect::<Vec<_>>());
        }
    }
}
