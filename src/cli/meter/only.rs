//! The meter alone on its bus, before it is changed: nothing that changes a meter is sent to 254, since every
//! meter obeys that. It is read, a second meter is looked for, and it goes on by its secondary address.

use super::{Failure, INSTEAD, Patient};
use crate::bus::session::Session;
use crate::cli::print;
use crate::cli::runtime::run_until_interrupted;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::frame::Frame;
use crate::mbus::master::readout::LinkState;
use crate::mbus::master::reply::identity_of;
use crate::mbus::master::search::{Found, Search};

/// The patient with an address of its own; with `alone` by its primary one where it has no other.
pub(super) fn identified(mut patient: Patient, alone: bool) -> Result<Patient, Failure> {
    let Some(address) = run_until_interrupted(find(&patient, alone))? else {
        return Err(Failure::new("interrupted: nothing was changed"));
    };
    patient.target.address = address?;
    print(format!("The meter alone on its bus is {}.\n", patient.target.address))?;
    Ok(patient)
}

async fn find(patient: &Patient, alone: bool) -> Result<MeterAddress, Failure> {
    let mut session = patient.wire.open("change a meter", INSTEAD).await?;
    let query = patient.wire.query(&patient.target, Some(patient.baud));
    let over = session.read(query, LinkState::default()).await?;
    let failed = |error| Failure::new(format!("254: {error}; if several meters are on the bus, all answer at once"));
    let frames = over.frames.map_err(failed)?;
    let frame = frames.first().map(Vec::as_slice).unwrap_or_default();
    match (selectable(patient, &mut session).await?.as_slice(), identity_of(frame), alone) {
        ([Found::Meter { address, .. }], Some(identity), _) if *address == MeterAddress::Secondary(identity) => {
            Ok(*address)
        }
        ([], _, true) => primary_of(frame).ok_or_else(|| Failure::new("254: the meter does not say its address")),
        ([], ..) => Err(Failure::new("the meter does not answer to its secondary address: nothing was changed")
            .hint("if you are sure that it is the only one on the bus, add --only-meter")),
        _ => Err(Failure::new("there is more than one meter on the bus: nothing was changed")
            .hint("`mbushat scan --secondary` finds their addresses")),
    }
}

/// The meters that take a secondary address; a second one ends the search.
async fn selectable(patient: &Patient, session: &mut Session) -> Result<Vec<Found>, Failure> {
    let character = patient.wire.character(patient.baud);
    let timing = patient.wire.timing(session, patient.baud, patient.wire.bus.retries);
    let mut search = Search::secondary(vec![SecondaryAddress::ANY], timing);
    let mut found = Vec::new();
    while !search.is_over() && found.len() < 2 {
        session.wake(character, patient.wire.bus.wake_up).await?;
        found.extend(session.converse(character, &mut search).await?);
    }
    Ok(found)
}

fn primary_of(frame: &[u8]) -> Option<MeterAddress> {
    match Frame::parse(frame) {
        Ok(Frame::Long { a, .. }) => PrimaryAddress::new(a).map(MeterAddress::Primary),
        _ => None,
    }
}
