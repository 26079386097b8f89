//! One row for each quantity: what sort of value it has, what Home Assistant calls it, and how much
//! it matters. Whoever adds a quantity to the VIF tables adds its row here, and only here; without
//! it the program does not compile.
//!
//! The device class is a name and no more: which release and which unit take it is decided in
//! `homeassistant::class`. Not here: the unit in which a quantity is published (`unit`).

use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::vife::Modifier;
use crate::measure::unit::convertible;

/// What sort of value a quantity has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Counts up over the life of a meter (heat cost allocators: over a year).
    Counter,
    /// Counts, but can fall.
    Balance,
    /// Goes up and down.
    Level,
    /// Names a thing: kept digit by digit.
    Label,
    /// Opens a meter: published only where it is asked for by name.
    Secret,
    /// What only its manufacturer knows: a number or bytes.
    Opaque,
    /// A date or time.
    Moment,
    /// Any other number: a setting, flags, a duration.
    Other,
}

/// How much it matters to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is what the meter measures.
    Main,
    /// It says how well the meter is.
    Health,
    /// It describes the meter.
    Detail,
}

/// What holds of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What sort of value it has.
    pub sort: Sort,
    /// Home Assistant's device class for it; empty where there is none.
    pub device_class: &'static str,
    /// How much it matters.
    pub role: Role,
}

impl Row {
    /// Whether its values are published as text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self.sort, Sort::Label | Sort::Secret | Sort::Moment)
    }

    /// Whether it is published without being asked for.
    #[must_use]
    pub fn is_sensible(self) -> bool {
        !matches!(self.sort, Sort::Secret | Sort::Opaque)
    }
}

/// Whether a record of this quantity is published as text.
#[must_use]
pub fn is_text(quantity: Quantity, modifiers: &[Modifier]) -> bool {
    let is_text = |known| row(known).is_text();
    matches!(quantity, Quantity::Known(known) if is_text(known)) || modifiers.iter().any(|m| m.is_moment())
}

/// What a number in this unit measures, where the unit leaves no doubt.
#[must_use]
pub fn of_unit(unit: Unit) -> Option<Known> {
    const OF: [(Unit, Known); 11] = [
        (Unit::WattHour, Known::Energy),
        (Unit::VarHour, Known::ReactiveEnergy),
        (Unit::VoltAmpereHour, Known::ApparentEnergy),
        (Unit::Watt, Known::Power),
        (Unit::Var, Known::ReactivePower),
        (Unit::VoltAmpere, Known::ApparentPower),
        (Unit::Volt, Known::Voltage),
        (Unit::Ampere, Known::Current),
        (Unit::Hertz, Known::Frequency),
        (Unit::CubicMetre, Known::Volume),
        (Unit::CubicMetrePerHour, Known::VolumeFlow),
    ];
    OF.iter().find(|(base, _)| convertible(*base, unit)).map(|(_, known)| *known)
}

macro_rules! rows {
    ($($known:ident $sort:ident $device_class:literal $role:ident;)*) => {
        /// The row of a quantity.
        #[must_use]
        pub const fn row(known: Known) -> Row {
            match known {
                $(Known::$known => Row { sort: Sort::$sort, device_class: $device_class, role: Role::$role },)*
            }
        }
    };
}

rows! {
// quantity               sort     device class         role
// primary table
Energy                    Counter  "energy"             Main;
Volume                    Counter  "volume"             Main;
Mass                      Counter  "weight"             Main;
OnTime                    Counter  "duration"           Main;
OperatingTime             Counter  "duration"           Main;
Power                     Level    "power"              Main;
VolumeFlow                Level    "volume_flow_rate"   Main;
MassFlow                  Level    ""                   Main;
FlowTemperature           Level    "temperature"        Main;
ReturnTemperature         Level    "temperature"        Main;
TemperatureDifference     Level    "temperature_delta"  Main;
ExternalTemperature       Level    "temperature"        Main;
Pressure                  Level    "pressure"           Main;
Date                      Moment   "date"               Detail;
DateTime                  Moment   "timestamp"          Detail;
HcaUnits                  Counter  ""                   Main;
AveragingDuration         Other    "duration"           Detail;
ActualityDuration         Other    "duration"           Detail;
FabricationNumber         Label    ""                   Detail;
Identification            Label    ""                   Detail;
BusAddress                Other    ""                   Detail;
// table FB
ReactiveEnergy            Counter  "reactive_energy"    Main;
ApparentEnergy            Counter  ""                   Main;
ReactivePower             Level    "reactive_power"     Main;
ApparentPower             Level    "apparent_power"     Main;
RelativeHumidity          Level    "humidity"           Main;
PhaseAngleVoltage         Level    ""                   Main;
PhaseAngleCurrent         Level    ""                   Main;
Frequency                 Level    "frequency"          Main;
HcaRatingK                Other    ""                   Detail;
HcaRatingKq               Other    ""                   Detail;
HcaRatingKc               Other    ""                   Detail;
HcaRatingKcr              Other    ""                   Detail;
HcaRatingKch              Other    ""                   Detail;
HcaRatingKt               Other    ""                   Detail;
HcaRatingKd               Other    ""                   Detail;
TemperatureLimit          Other    "temperature"        Detail;
CumulativeMaximumPower    Level    "power"              Main;
// table FD
Credit                    Balance  ""                   Main;
Debit                     Balance  ""                   Main;
MessageId                 Other    ""                   Detail;
DeviceType                Other    ""                   Detail;
Manufacturer              Label    ""                   Detail;
ParameterSet              Label    ""                   Detail;
Model                     Label    ""                   Detail;
HardwareVersion           Label    ""                   Detail;
FirmwareVersion           Label    ""                   Detail;
SoftwareVersion           Label    ""                   Detail;
CustomerLocation          Label    ""                   Detail;
Customer                  Label    ""                   Detail;
AccessCodeUser            Secret   ""                   Detail;
AccessCodeOperator        Secret   ""                   Detail;
AccessCodeSystemOperator  Secret   ""                   Detail;
AccessCodeDeveloper       Secret   ""                   Detail;
Password                  Secret   ""                   Detail;
ErrorFlags                Other    ""                   Health;
ErrorMask                 Other    ""                   Detail;
SecurityKey               Secret   ""                   Detail;
DigitalOutput             Other    ""                   Main;
DigitalInput              Other    ""                   Main;
BaudRate                  Other    ""                   Detail;
ResponseDelay             Other    ""                   Detail;
Retry                     Other    ""                   Detail;
RemoteControl             Other    ""                   Detail;
FirstStorageNumber        Other    ""                   Detail;
LastStorageNumber         Other    ""                   Detail;
StorageBlockSize          Other    ""                   Detail;
TariffDescriptor          Other    ""                   Detail;
StorageInterval           Other    "duration"           Detail;
OperatorData              Other    ""                   Detail;
TimePointSecond           Other    ""                   Detail;
DurationSinceReadout      Other    "duration"           Detail;
TariffStart               Moment   ""                   Detail;
TariffDuration            Other    "duration"           Detail;
TariffPeriod              Other    "duration"           Detail;
Dimensionless             Level    ""                   Detail;
RadioContainer            Opaque   ""                   Detail;
TransmissionPeriod        Other    "duration"           Detail;
Voltage                   Level    "voltage"            Main;
Current                   Level    "current"            Main;
ResetCounter              Other    ""                   Detail;
CumulationCounter         Counter  ""                   Main;
ControlSignal             Other    ""                   Detail;
DayOfWeek                 Other    ""                   Detail;
WeekNumber                Other    ""                   Detail;
DayChangeTime             Other    ""                   Detail;
ParameterActivation       Other    ""                   Detail;
SupplierInformation       Other    ""                   Detail;
DurationSinceCumulation   Other    "duration"           Detail;
BatteryOperatingTime      Other    "duration"           Detail;
BatteryChangeTime         Moment   "timestamp"          Detail;
RfLevel                   Level    "signal_strength"    Health;
DaylightSaving            Other    ""                   Detail;
ListeningWindow           Other    ""                   Detail;
BatteryLife               Level    "duration"           Health;
MeterStops                Other    ""                   Detail;
ManufacturerContainer     Opaque   ""                   Detail;
SelectedApplication       Other    ""                   Detail;
// no table names these, the telegram does
PlainText                 Other    ""                   Main;
ManufacturerSpecific      Opaque   ""                   Detail;
AnyQuantity               Opaque   ""                   Detail;}

#[cfg(test)]
mod tests {
    use super::{is_text, row};
    use crate::mbus::application::quantity::{Known, Quantity};
    use crate::mbus::application::vife::Modifier;

    #[test]
    fn what_opens_a_meter_and_what_cannot_be_read_is_not_published_unasked() {
        let kept: Vec<&str> =
            Known::ALL.iter().filter(|&&known| !row(known).is_sensible()).map(|known| known.name()).collect();
        let secret = "access_code_user access_code_operator access_code_system_operator access_code_developer password \
                      security_key";
        let opaque = "radio_container manufacturer_container manufacturer_specific any";
        assert_eq!(kept.join(" "), format!("{secret} {opaque}"));
    }

    #[test]
    fn a_limit_exceeded_since_is_a_text_whatever_the_quantity() {
        let energy = Quantity::Known(Known::Energy);
        let unknown = Quantity::Unknown { table: 0xFD, code: 0x3F };
        for quantity in [energy, unknown] {
            assert!(is_text(quantity, &[Modifier::Combinable(0x42)]), "lower_limit_exceed_first_begin");
            assert!(!is_text(quantity, &[Modifier::IMPORT]));
        }
        assert!(is_text(Quantity::Known(Known::Date), &[]));
    }
}
