//! Numbers as Python prints them: `Decimal(f64)` with every binary digit, or `int(f64)`.

/// 10^`n` as the nearest f64, which is what a literal is.
pub(super) fn power_of_ten(n: i32) -> f64 {
    format!("1e{n}").parse().unwrap_or(1.0)
}

/// `value * factor` in binary floating point; no factor is the integer 1. Integers with a factor
/// above 1 are cut to an integer. `None` for what JSON cannot hold.
#[expect(clippy::cast_precision_loss, reason = "the very loss that is to be reproduced")]
pub(super) fn scaled(value: i128, factor: Option<f64>, integer: bool) -> Option<String> {
    let Some(factor) = factor else {
        return Some(value.to_string());
    };
    let product = value as f64 * factor;
    if integer && factor > 1.0 {
        return product.is_finite().then(|| format!("{:.0}", product.trunc() + 0.0));
    }
    decimal(product)
}

/// `str(Decimal(value))`: plain digits, or with an exponent below one millionth.
pub(super) fn decimal(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    // no f64 has more digits behind the point than this
    let fixed = format!("{value:.1080}");
    let plain = fixed.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |rest| ("-", rest));
    let zeros = digits.strip_prefix("0.").map_or(0, |f| f.bytes().take_while(|b| *b == b'0').count());
    if zeros < 6 {
        return Some(plain.to_owned());
    }
    let significant = digits.get(2 + zeros..)?;
    let (first, rest) = significant.split_at_checked(1)?;
    let point = if rest.is_empty() { "" } else { "." };
    Some(format!("{sign}{first}{point}{rest}E-{}", zeros + 1))
}

#[cfg(test)]
mod tests {
    use super::{decimal, power_of_ten, scaled};

    #[test]
    fn numbers_look_as_python_prints_them() {
        for (value, text) in [
            (0.05, "0.05000000000000000277555756156289135105907917022705078125"),
            (0.0, "0"),
            (-0.0, "-0"),
            (70.0, "70"),
            (0.5, "0.5"),
            (1e22, "10000000000000000000000"),
            (0.000_001_2, "0.00000119999999999999994569773419106351042273672646842896938323974609375"),
            (1e-9, "1.0000000000000000622815914577798564188970686927859787829220294952392578125E-9"),
            (2f64.powi(-20), "9.5367431640625E-7"),
            (2f64.powi(-19), "0.0000019073486328125"),
        ] {
            let got = decimal(value).expect("finite");
            assert_eq!(got, text, "{value:e}");
        }
        assert_eq!(decimal(f64::NAN), None);
        assert_eq!(decimal(f64::INFINITY), None);
    }

    #[test]
    fn integers_are_cut_only_with_a_factor_above_one() {
        assert_eq!(scaled(38_357, Some(3600.0), true).as_deref(), Some("138085200"));
        assert_eq!(scaled(3, Some(2_629_743.83), true).as_deref(), Some("7889231"));
        assert_eq!(scaled(-1, Some(10.0), true).as_deref(), Some("-10"));
        assert_eq!(scaled(0, Some(10.0), true).as_deref(), Some("0"));
        assert_eq!(scaled(i128::from(i64::MAX), Some(10.0), true).as_deref(), Some("92233720368547758080"));
        assert_eq!(scaled(i128::from(i64::MAX), None, true).as_deref(), Some("9223372036854775807"));
        assert_eq!(scaled(-5, Some(0.0), true).as_deref(), Some("-0"));
        assert!(power_of_ten(-6).to_bits() == 1e-6_f64.to_bits());
    }
}
