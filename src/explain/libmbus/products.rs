//! The names that libmbus gives to meters by what their headers say.

/// How a row tells its meters apart.
enum By {
    /// Version.
    Version(u8, u8),
    /// Version of an electricity meter.
    Electricity(u8, u8),
    /// Version of a meter of unknown medium.
    Unknown(u8, u8),
    /// First two digits of the identification number.
    Id(u8),
}

use By::{Electricity, Id, Unknown, Version};

/// By maker; versions from and to.
const PRODUCTS: &[(&str, By, &str)] = &[
    ("ABB", Version(0x02, 0x02), "ABB Delta-Meter"),
    ("ABB", Version(0x20, 0x20), "ABB B21 113-100"),
    ("ACW", Version(0x09, 0x09), "Itron CF Echo 2"),
    ("ACW", Version(0x0A, 0x0A), "Itron CF 51"),
    ("ACW", Version(0x0B, 0x0B), "Itron CF 55"),
    ("ACW", Version(0x0E, 0x0E), "Itron BM +m"),
    ("ACW", Version(0x0F, 0x0F), "Itron CF 800"),
    ("ACW", Version(0x14, 0x14), "Itron CYBLE M-Bus 1.4"),
    ("AMT", Version(0x00, 0x3F), "Aquametro AMTRON"),
    ("AMT", Version(0x40, 0x7F), "Aquametro SAPHIR"),
    ("AMT", Version(0x80, 0xBF), "Aquametro CALEC MB"),
    ("AMT", Version(0xC0, 0xFF), "Aquametro CALEC ST"),
    ("BEC", Electricity(0x00, 0x00), "Berg DCMi"),
    ("BEC", Electricity(0x07, 0x07), "Berg BLMi"),
    ("BEC", Unknown(0x71, 0x71), "Berg BMB-10S0"),
    ("EFE", Version(0x00, 0x00), "Engelmann / Elster SensoStar 2"),
    ("EFE", Version(0x01, 0x01), "Engelmann SensoStar 2C"),
    ("ELS", Version(0x02, 0x02), "Elster TMP-A"),
    ("ELS", Version(0x0A, 0x0A), "Elster Falcon"),
    ("ELS", Version(0x2F, 0x2F), "Elster F96 Plus"),
    ("ELV", Version(0x14, 0x1D), "Elvaco CMa10"),
    ("ELV", Version(0x32, 0x3B), "Elvaco CMa11"),
    ("EMH", Version(0x00, 0x00), "EMH DIZ"),
    ("EMU", Electricity(0x10, 0x10), "EMU Professional 3/75 M-Bus"),
    ("GAV", Electricity(0x2D, 0x30), "Carlo Gavazzi EM24"),
    ("GAV", Electricity(0x39, 0x3A), "Carlo Gavazzi EM21"),
    ("GAV", Electricity(0x40, 0x40), "Carlo Gavazzi EM33"),
    ("GMC", Version(0xE6, 0xE6), "GMC-I A230 EMMOD 206"),
    ("GTE", Id(0x30), "Sensoco PT100"),
    ("GTE", Id(0x41), "Sensoco 2-NTC"),
    ("GTE", Id(0x45), "Sensoco Laser Light"),
    ("GTE", Id(0x48), "Sensoco ADIO"),
    ("GTE", Id(0x51), "Sensoco THU"),
    ("GTE", Id(0x61), "Sensoco THU"),
    ("GTE", Id(0x80), "Sensoco PulseCounter for E-Meter"),
    ("HYD", Version(0x28, 0x28), "ABB F95 Typ US770"),
    ("HYD", Version(0x2F, 0x2F), "Hydrometer Sharky 775"),
    ("JAN", Electricity(0x09, 0x09), "Janitza UMG 96S"),
    ("KAM", Version(0x01, 0x01), "Kamstrup 382 (6850-005)"),
    ("KAM", Version(0x08, 0x08), "Kamstrup Multical 601"),
    ("LSE", Version(0x99, 0x99), "Siemens WFH21"),
    ("LUG", Version(0x02, 0x02), "Landis & Gyr Ultraheat 2WR5"),
    ("LUG", Version(0x03, 0x03), "Landis & Gyr Ultraheat 2WR6"),
    ("LUG", Version(0x04, 0x04), "Landis & Gyr Ultraheat UH50"),
    ("LUG", Version(0x07, 0x07), "Landis & Gyr Ultraheat T230"),
    ("NZR", Version(0x01, 0x01), "NZR DHZ 5/63"),
    ("NZR", Version(0x50, 0x50), "NZR IC-M2"),
    ("RAM", Version(0x03, 0x03), "Rossweiner ETK/ETW Modularis"),
    ("REL", Version(0x08, 0x08), "Relay PadPuls M1"),
    ("REL", Version(0x12, 0x12), "Relay PadPuls M4"),
    ("REL", Version(0x20, 0x20), "Relay Padin 4"),
    ("REL", Version(0x30, 0x30), "Relay AnDi 4"),
    ("REL", Version(0x40, 0x40), "Relay PadPuls M2"),
    ("RKE", Version(0x69, 0x69), "Ista sensonic II mbus"),
    ("SBC", Id(0x10), "Saia-Burgess ALE3"),
    ("SBC", Id(0x11), "Saia-Burgess AWD3"),
    ("SBC", Id(0x19), "Saia-Burgess ALE3"),
    ("SEN", Version(0x08, 0x08), "Sensus PolluCom E"),
    ("SEN", Version(0x0B, 0x0B), "Sensus PolluTherm"),
    ("SEN", Version(0x0E, 0x0E), "Sensus PolluStat E"),
    ("SEN", Version(0x19, 0x19), "Sensus PolluCom E"),
    ("SEO", Id(0x30), "Sensoco PT100"),
    ("SEO", Id(0x41), "Sensoco 2-NTC"),
    ("SEO", Id(0x45), "Sensoco Laser Light"),
    ("SEO", Id(0x48), "Sensoco ADIO"),
    ("SEO", Id(0x51), "Sensoco THU"),
    ("SEO", Id(0x61), "Sensoco THU"),
    ("SEO", Id(0x80), "Sensoco PulseCounter for E-Meter"),
    ("SLB", Version(0x02, 0x02), "Allmess Megacontrol CF-50"),
    ("SLB", Version(0x06, 0x06), "CF Compact / Integral MK MaXX"),
    ("SON", Version(0x0D, 0x0D), "Sontex Supercal 531"),
    ("SPX", Version(0x31, 0x31), "Sensus PolluTherm"),
    ("SPX", Version(0x34, 0x34), "Sensus PolluTherm"),
    ("SVM", Version(0x08, 0x08), "Elster F2 / Deltamess F2"),
    ("SVM", Version(0x09, 0x09), "Elster F4 / Kamstrup SVM F22"),
    ("TCH", Version(0x26, 0x26), "Techem m-bus S"),
    ("TCH", Version(0x40, 0x40), "Techem ultra S3"),
    ("WZG", Version(0x03, 0x03), "Modularis ETW-EAX"),
    ("ZRM", Version(0x81, 0x81), "Minol Minocal C2"),
    ("ZRM", Version(0x82, 0x82), "Minol Minocal WR3"),
];

const ELECTRICITY: u8 = 0x02;
const WARM_WATER: u8 = 0x06;
const UNKNOWN_MEDIUM: u8 = 0x0F;

/// The `ProductName`, empty where libmbus has none.
pub(super) fn product(maker: &str, version: u8, medium: u8, id: u32) -> &'static str {
    // The one maker with two names for a version.
    if (maker, version, medium) == ("EFE", 0, WARM_WATER) {
        return "Engelmann WaterStar";
    }
    let is_it = |by: &By| match *by {
        Version(from, to) => (from..=to).contains(&version),
        Electricity(from, to) => medium == ELECTRICITY && (from..=to).contains(&version),
        Unknown(from, to) => medium == UNKNOWN_MEDIUM && (from..=to).contains(&version),
        Id(digits) => id.to_be_bytes()[0] == digits,
    };
    let row = PRODUCTS.iter().find(|(letters, by, _)| *letters == maker && is_it(by));
    row.map_or("", |(_, _, name)| name)
}
