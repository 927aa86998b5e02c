//! All families.

mod components;
mod floods;
mod handles;
mod loops;
mod manifests;
mod memory;
mod replies;
mod secrets;
mod values;

use super::Guest;

/// Every hostile guest.
#[must_use]
pub fn corpus() -> Vec<Guest> {
    let families = [
        loops::family(),
        memory::family(),
        values::family(),
        handles::family(),
        floods::family(),
        replies::family(),
        secrets::family(),
        manifests::family(),
        components::family(),
    ];
    families.into_iter().flatten().collect()
}

/// `deed` again and again, this many times.
fn repeat(times: u32, deed: &str) -> String {
    format!(
        "(local.set $i (i32.const 0))
         (loop $again {deed}
           (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times}))))"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_guest_has_a_name_of_its_own_and_a_component() {
        let guests = corpus();
        assert!(guests.len() >= 40, "{} guests", guests.len());
        let mut names = HashSet::new();
        for guest in &guests {
            assert!(names.insert(guest.name), "{} is there twice", guest.name);
            drop((guest.component)(guest.name));
        }
    }
}
