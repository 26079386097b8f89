//! Bus power: the GPIO pin of the M-Bus Master Hat that switches the bus on while it is high.
//!
//! One seam, [`PowerPin`], with two implementations: rppal, which writes the registers through
//! `/dev/gpiomem` on Raspberry Pi OS, and where that cannot open them the GPIO character device.
//! Neither is touched unless a bus asks for the Hat.
//!
//! The bus must be off after every way out. [`BusPower`] switches it off when dropped; a panic
//! aborts a release build without dropping anything, so a panic hook drives every open pin low first.
//! Against SIGKILL there is `ExecStopPost=mbushat hat off`.
//!
//! Not here: finding the Hat (`device_tree`), when to switch (`task`).

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::Duration;

/// BCM number of the pin on the Hat as it is sold.
pub const POWER_GPIO: u8 = 26;

/// An output pin.
pub trait PowerPin: Send {
    /// Drives it high or low.
    ///
    /// # Errors
    /// [`PowerError::Set`] where the kernel refuses.
    fn set(&mut self, high: bool) -> Result<(), PowerError>;

    /// Whether the level stays when this process ends.
    fn stays_at_exit(&self) -> bool;
}

/// How a pin is opened as an output, high or low from the start: [`open_pin`], or a test's own.
pub type OpenPin = fn(gpio: u8, high: bool) -> Result<Box<dyn PowerPin>, PowerError>;

/// Why the bus cannot be switched.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// Neither way reaches the pin.
    #[error(
        "cannot reach GPIO {gpio} that powers the bus: rppal says {rppal}; the GPIO character device says {cdev}; is this user in group gpio?"
    )]
    Open {
        /// BCM number.
        gpio: u8,
        /// What rppal says.
        rppal: String,
        /// What the character device says.
        cdev: String,
    },
    /// A second bus asks for a pin that is in use.
    #[error("GPIO {0} already powers another bus of this program")]
    InUse(u8),
    /// The kernel refused.
    #[error("cannot switch GPIO {gpio}: {reason}")]
    Set {
        /// BCM number.
        gpio: u8,
        /// What the kernel says.
        reason: String,
    },
}

/// Power of one bus, off when it is dropped and when the program panics.
#[derive(Debug)]
pub struct BusPower {
    gpio: u8,
}

impl BusPower {
    /// Takes the pin and switches the bus.
    ///
    /// # Errors
    /// [`PowerError`] where the pin cannot be reached or is taken.
    pub fn open(gpio: u8, on: bool, open: OpenPin) -> Result<Self, PowerError> {
        static HOOK: Once = Once::new();
        HOOK.call_once(switch_off_on_panic);
        let mut pins = pins();
        if pins.contains_key(&gpio) {
            return Err(PowerError::InUse(gpio));
        }
        pins.insert(gpio, open(gpio, on)?);
        Ok(Self { gpio })
    }

    /// Switches the bus.
    ///
    /// # Errors
    /// [`PowerError::Set`].
    pub fn switch(&self, on: bool) -> Result<(), PowerError> {
        pins().get_mut(&self.gpio).map_or(Ok(()), |pin| pin.set(on))
    }

    /// Whether the level stays when this process ends.
    #[must_use]
    pub fn stays_at_exit(&self) -> bool {
        pins().get(&self.gpio).is_some_and(|pin| pin.stays_at_exit())
    }

    /// Leaves the pin as it is until this process ends, and does not switch the bus off.
    pub fn leave(self) {
        // Dropping the pin itself would release the line.
        std::mem::forget(pins().remove(&self.gpio));
        std::mem::forget(self);
    }
}

impl Drop for BusPower {
    fn drop(&mut self) {
        let Some(mut pin) = pins().remove(&self.gpio) else { return };
        if let Err(error) = pin.set(false) {
            tracing::error!(gpio = self.gpio, "bus power stays on: {error}");
        }
    }
}

/// Every pin in use. The panic hook must reach them from whatever thread panics: the one reason
/// for a lock in this program.
static PINS: Mutex<BTreeMap<u8, Box<dyn PowerPin>>> = Mutex::new(BTreeMap::new());

fn pins() -> MutexGuard<'static, BTreeMap<u8, Box<dyn PowerPin>>> {
    PINS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn switch_off_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        all_off();
        report(panic);
    }));
}

/// Drives every open pin low. The thread that panicked may hold the lock itself, so it is not waited for long.
fn all_off() {
    for _ in 0..50 {
        let mut pins = match PINS.try_lock() {
            Ok(pins) => pins,
            Err(TryLockError::Poisoned(pins)) => pins.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
        };
        for pin in pins.values_mut() {
            // A panic is under way: no one is left to hear of it.
            let _ = pin.set(false);
        }
        return;
    }
}

/// Opens a pin of this machine: through rppal, else through the character device.
///
/// # Errors
/// [`PowerError::Open`] with what both say.
pub fn open_pin(gpio: u8, high: bool) -> Result<Box<dyn PowerPin>, PowerError> {
    let rppal = match RegisterPin::open(gpio, high) {
        Ok(pin) => return Ok(Box::new(pin)),
        Err(error) => error.to_string(),
    };
    match CharacterDevicePin::open(gpio, high) {
        Ok(pin) => Ok(Box::new(pin)),
        Err(cdev) => Err(PowerError::Open { gpio, rppal, cdev }),
    }
}

/// A pin through rppal, that is, through the GPIO registers.
struct RegisterPin(rppal::gpio::OutputPin);

impl RegisterPin {
    fn open(gpio: u8, high: bool) -> Result<Self, rppal::gpio::Error> {
        let pin = rppal::gpio::Gpio::new()?.get(gpio)?;
        let mut pin = if high { pin.into_output_high() } else { pin.into_output_low() };
        // rppal would put the pin back to the mode it had; the end must be a driven low.
        pin.set_reset_on_drop(false);
        Ok(Self(pin))
    }
}

impl PowerPin for RegisterPin {
    fn set(&mut self, high: bool) -> Result<(), PowerError> {
        if high {
            self.0.set_high();
        } else {
            self.0.set_low();
        }
        Ok(())
    }

    /// The kernel does not know that the registers were written, so it puts nothing back.
    fn stays_at_exit(&self) -> bool {
        true
    }
}

/// A pin through `/dev/gpiochipN`, found by the chip's label: numbers differ by model and kernel.
struct CharacterDevicePin {
    gpio: u8,
    line: gpiocdev::Request,
}

/// Labels of the chip with the header's pins: Pi 0 to 3, Pi 4, Pi 5.
const CHIPS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

impl CharacterDevicePin {
    fn open(gpio: u8, high: bool) -> Result<Self, String> {
        let chips = gpiocdev::chip::chips().map_err(|e| e.to_string())?;
        let mut denied = None;
        for path in chips {
            match gpiocdev::Chip::from_path(&path).and_then(|chip| chip.info()) {
                Ok(info) if CHIPS.contains(&info.label.as_str()) => {
                    let line = gpiocdev::Request::builder()
                        .on_chip(path)
                        .with_consumer("mbushat")
                        .with_line(u32::from(gpio))
                        .as_output(level(high))
                        .request()
                        .map_err(|e| e.to_string())?;
                    return Ok(Self { gpio, line });
                }
                Ok(_) => {}
                Err(error) => denied = Some(format!("{}: {error}", path.display())),
            }
        }
        Err(denied.unwrap_or_else(|| format!("no chip is labelled {}", CHIPS.join(" or "))))
    }
}

impl PowerPin for CharacterDevicePin {
    fn set(&mut self, high: bool) -> Result<(), PowerError> {
        self.line
            .set_value(u32::from(self.gpio), level(high))
            .map(|_| ())
            .map_err(|e| PowerError::Set { gpio: self.gpio, reason: e.to_string() })
    }

    /// Raspberry Pi kernels keep the level of a line that no program holds, unless `dtparam=strict_gpiod`;
    /// mainline ones make it an input, which the Hat pulls low.
    fn stays_at_exit(&self) -> bool {
        ["pinctrl_bcm2835", "pinctrl_rp1"].iter().any(|module| {
            let parameter = format!("/sys/module/{module}/parameters/persist_gpio_outputs");
            fs::read_to_string(parameter).is_ok_and(|value| value.trim() == "Y")
        })
    }
}

fn level(high: bool) -> gpiocdev::line::Value {
    if high { gpiocdev::line::Value::Active } else { gpiocdev::line::Value::Inactive }
}

#[cfg(test)]
mod tests {
    use super::{BusPower, PowerError, PowerPin};
    use std::sync::Mutex;

    /// The tests take turns: a panic switches off the pins of all.
    static TURN: Mutex<()> = Mutex::new(());
    /// What the fake pins were set to, in order.
    static LEVELS: Mutex<Vec<(u8, bool)>> = Mutex::new(Vec::new());

    struct FakePin(u8);

    impl PowerPin for FakePin {
        fn set(&mut self, high: bool) -> Result<(), PowerError> {
            LEVELS.lock().expect("levels").push((self.0, high));
            Ok(())
        }

        fn stays_at_exit(&self) -> bool {
            true
        }
    }

    fn fake(gpio: u8, high: bool) -> Result<Box<dyn PowerPin>, PowerError> {
        let mut pin = FakePin(gpio);
        pin.set(high)?;
        Ok(Box::new(pin))
    }

    fn levels(gpio: u8) -> Vec<bool> {
        LEVELS.lock().expect("levels").iter().filter(|(g, _)| *g == gpio).map(|(_, high)| *high).collect()
    }

    #[test]
    fn off_when_dropped() {
        let _turn = TURN.lock();
        let power = BusPower::open(1, false, fake).expect("a pin");
        power.switch(true).expect("on");
        drop(power);
        assert_eq!(levels(1), [false, true, false]);
    }

    #[test]
    fn left_as_it_is_when_asked() {
        let _turn = TURN.lock();
        let power = BusPower::open(2, true, fake).expect("a pin");
        assert!(power.stays_at_exit());
        power.leave();
        assert_eq!(levels(2), [true]);
    }

    #[test]
    fn two_buses_cannot_share_a_pin() {
        let _turn = TURN.lock();
        let first = BusPower::open(3, false, fake).expect("a pin");
        assert!(matches!(BusPower::open(3, false, fake), Err(PowerError::InUse(3))));
        drop(first);
        assert!(BusPower::open(3, false, fake).is_ok());
    }

    #[test]
    fn a_panic_in_any_thread_drives_every_pin_low() {
        let _turn = TURN.lock();
        let power = BusPower::open(4, false, fake).expect("a pin");
        power.switch(true).expect("on");
        let panicked = std::thread::spawn(|| panic!("a planted panic")).join();
        assert!(panicked.is_err());
        assert_eq!(levels(4), [false, true, false]);
        drop(power);
    }
}
