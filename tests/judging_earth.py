"""Directions by astropy, for the judges: where an observer at the site has them, in the earth's
frame, with the orientation of the earth that uvh5sim wrote into its groups.json."""

import json

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers

SITE = (37.2314, -118.2817, 1222.0)  # uvh5sim's: latitude, longitude, metres
WHERE = EarthLocation.from_geodetic(SITE[1] * u.deg, SITE[0] * u.deg, SITE[2] * u.m)


def earth_of(groups_json):
    """UT1-UTC in s and the pole in arcsec."""
    with open(groups_json) as f:
        return json.load(f)["earth_s_arcsec"]


def fixed(jd, earth):
    """An IERS table that says the same on all days around this one."""
    day = np.floor(jd - 2400000.5) + np.arange(-2, 4)
    zero = np.zeros(len(day)) * u.arcsec
    return iers.IERS([day * u.d, zero.value * u.s + earth[0] * u.s, zero + earth[1] * u.arcsec,
                      zero + earth[2] * u.arcsec, zero, zero],
                     names=["MJD", "UT1_UTC", "PM_x", "PM_y", "dX_2000A", "dY_2000A"])


def itrf(ra_deg, dec_deg, jd, earth):
    """Unit vectors [...][3]."""
    with iers.earth_orientation_table.set(fixed(jd, earth)):
        t = Time(jd, format="jd", scale="utc", location=WHERE)
        t.delta_ut1_utc = earth[0]
        app = SkyCoord(ra_deg * u.deg, dec_deg * u.deg).transform_to(
            HADec(obstime=t, location=WHERE))
    lon, dec = WHERE.lon.rad - app.ha.rad, app.dec.rad
    return np.stack([np.cos(dec) * np.cos(lon), np.cos(dec) * np.sin(lon), np.sin(dec)], axis=-1)


def meridian(dec_deg, jd, earth):
    """ICRS of hour angle 0 at this apparent declination."""
    with iers.earth_orientation_table.set(fixed(jd, earth)):
        t = Time(jd, format="jd", scale="utc", location=WHERE)
        t.delta_ut1_utc = earth[0]
        return SkyCoord(ha=0 * u.hourangle, dec=dec_deg * u.deg,
                        frame=HADec(obstime=t, location=WHERE)).transform_to("icrs")
