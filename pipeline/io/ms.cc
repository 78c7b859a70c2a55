/*
 * ms.cc: a Measurement Set through casacore; the contract is in ms.h.
 */
#include "pipeline/io/ms.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <casacore/ms/MeasurementSets.h>
#include <casacore/tables/DataMan/StandardStMan.h>
#include <casacore/tables/DataMan/TiledColumnStMan.h>
#include <casacore/tables/DataMan/TiledStManAccessor.h>
#include <casacore/tables/Tables.h>

/* vis.h is C, where a complex number has another name and the same bytes. */
#include <complex.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#define complex _Complex
extern "C" {
#include "core/err.h"
#include "core/path.h"
#include "pipeline/sky/vis.h"
}
#undef complex
#pragma GCC diagnostic pop

namespace cc = casacore;

namespace
{

const size_t TILE_BYTES = 1 << 20;    /* of DATA, about; whole rows */
const size_t SLICE_BYTES = 32 << 20;  /* of DATA, handed to casacore at a time */
const size_t BALLAST_BYTES = 6 << 20; /* of subtables, and for ending all of them */
const size_t ROW_BYTES = 160;         /* of a row, beside its cells */

/* One Measurement Set on its way to the disk. */
struct work {
    const struct vis *vis;
    const struct ms_opts *opts;
    std::vector<size_t> order; /* [npol] where the p-th polarisation stands in vis */
    std::vector<int> stokes;   /* [npol] casacore's numbers, ascending */
    size_t tile_rows;
};

/* What progress asked for. */
struct told_to_stop {
};

cc::IPosition shape(size_t a)
{
    return cc::IPosition(1, ssize_t(a));
}

cc::IPosition shape(size_t a, size_t b)
{
    return cc::IPosition(2, ssize_t(a), ssize_t(b));
}

cc::IPosition shape(size_t a, size_t b, size_t c)
{
    return cc::IPosition(3, ssize_t(a), ssize_t(b), ssize_t(c));
}

double mjd_s(double jd)
{
    return (jd - ASTRO_MJD0_JD) * ASTRO_DAY_S;
}

double middle_s(const struct vis *vis)
{
    return mjd_s(0.5 * (vis->time_jd[0] + vis->time_jd[vis->ntime - 1]));
}

/* From the start of the first integration to the end of the last. */
cc::Vector<double> range_s(const struct vis *vis)
{
    const size_t last = vis->ntime - 1;
    cc::Vector<double> t(2);

    t[0] = mjd_s(vis->time_jd[0]) - 0.5 * vis->tint_s[0];
    t[1] = mjd_s(vis->time_jd[last]) + 0.5 * vis->tint_s[last];
    return t;
}

/* casacore's number of an AIPS code; 0: it has none. */
int stokes_of(int aips)
{
    static const int linear[] = {cc::Stokes::XX, cc::Stokes::YY, cc::Stokes::XY,
                                 cc::Stokes::YX};
    static const int circular[] = {cc::Stokes::RR, cc::Stokes::LL, cc::Stokes::RL,
                                   cc::Stokes::LR};

    if (aips >= 1 && aips <= 4)
        return cc::Stokes::I + aips - 1;
    if (aips <= -1 && aips >= -4)
        return circular[-1 - aips];
    return aips <= -5 && aips >= -8 ? linear[-5 - aips] : 0;
}

/* Status: 0; ERR_FORMAT. */
int order_pols(struct work *w, struct err *e)
{
    const struct vis *vis = w->vis;

    for (size_t p = 0; p < vis->npol; p++) {
        if (stokes_of(vis->pol[p]) == 0)
            return err_set(e, ERR_FORMAT,
                           "a Measurement Set has no polarisation %d (AIPS code)",
                           vis->pol[p]);
        w->order.push_back(p);
    }
    std::sort(w->order.begin(), w->order.end(), [vis](size_t a, size_t b) {
        return stokes_of(vis->pol[a]) < stokes_of(vis->pol[b]);
    });
    for (size_t p : w->order)
        w->stokes.push_back(stokes_of(vis->pol[p]));
    return 0;
}

/* ---- the table of visibilities ---- */

const char *data_name(const struct work *w)
{
    return w->opts->corrected ? "CORRECTED_DATA" : "DATA";
}

/* The columns that are too large for a cache. */
std::vector<std::string> tiled(const struct work *w)
{
    std::vector<std::string> names = {data_name(w), "FLAG"};

    if (w->opts->weight_spectrum)
        names.push_back("WEIGHT_SPECTRUM");
    return names;
}

/* An empty table at `path` with its subtables; the large columns in tiles of whole rows. */
cc::MeasurementSet create(const std::string &path, const struct work *w)
{
    const cc::IPosition cell = shape(w->vis->npol, w->vis->nchan);
    cc::TableDesc desc = cc::MS::requiredTableDesc();

    cc::MS::addColumnToDesc(
        desc, w->opts->corrected ? cc::MS::CORRECTED_DATA : cc::MS::DATA, 2);
    if (w->opts->weight_spectrum)
        cc::MS::addColumnToDesc(desc, cc::MS::WEIGHT_SPECTRUM, 2);
    for (const char *name : {"WEIGHT", "SIGMA"})
        desc.rwColumnDesc(name).setShape(shape(w->vis->npol));
    for (const std::string &name : tiled(w)) {
        desc.rwColumnDesc(name).setShape(cell);
        desc.rwColumnDesc(name).setOptions(cc::ColumnDesc::FixedShape);
    }

    cc::SetupNewTable setup(path, desc, cc::Table::New);
    setup.bindAll(cc::StandardStMan("rows", 1 << 17));
    for (const std::string &name : tiled(w))
        setup.bindColumn(name, cc::TiledColumnStMan(
                                   "tiled_" + name,
                                   shape(w->vis->npol, w->vis->nchan, w->tile_rows)));
    cc::MeasurementSet ms(setup);
    ms.createDefaultSubtables(cc::Table::New);
    ms.initRefs();
    return ms;
}

/* The columns with one number a row. */
void put_rows(cc::MSColumns &cols, const struct vis *vis)
{
    cc::Vector<double> time(vis->nrow), length(vis->nrow);
    cc::Matrix<double> uvw(3, vis->nrow);

    for (size_t r = 0; r < vis->nrow; r++) {
        time[r] = mjd_s(vis->time_jd[vis->row_time[r]]);
        length[r] = vis->tint_s[vis->row_time[r]];
    }
    cols.time().putColumn(time);
    cols.timeCentroid().putColumn(time);
    cols.interval().putColumn(length);
    cols.exposure().putColumn(length);
    vis_uvw(vis, vis->phase_ra_rad, vis->phase_dec_rad,
            reinterpret_cast<double(*)[3]>(uvw.data()));
    cols.uvw().putColumn(uvw);
    cols.antenna1().putColumn(
        cc::Vector<cc::Int>(shape(vis->nrow), vis->row_ant1, cc::SHARE));
    cols.antenna2().putColumn(
        cc::Vector<cc::Int>(shape(vis->nrow), vis->row_ant2, cc::SHARE));
    cols.scanNumber().fillColumn(1);
    cols.feed1().fillColumn(0);
    cols.feed2().fillColumn(0);
    cols.dataDescId().fillColumn(0);
    cols.processorId().fillColumn(0);
    cols.fieldId().fillColumn(0);
    cols.arrayId().fillColumn(0);
    cols.observationId().fillColumn(0);
    cols.stateId().fillColumn(0);
}

/* Rows first .. first + n - 1 of vis, [n][nchan][npol], with the polarisations in order:
 * where they lie, or copied to `room`. */
template <typename T>
cc::Array<T> cells(const struct work *w, T *all, size_t first, size_t n,
                   std::vector<T> &room)
{
    const size_t npol = w->vis->npol, nchan = w->vis->nchan;
    T *from = all + first * nchan * npol;

    if (!std::is_sorted(w->order.begin(), w->order.end())) {
        room.resize(n * nchan * npol);
        for (size_t i = 0; i < n * nchan; i++)
            for (size_t p = 0; p < npol; p++)
                room[i * npol + p] = from[i * npol + w->order[p]];
        from = room.data();
    }
    return cc::Array<T>(shape(npol, nchan, n), from, cc::SHARE);
}

/* What the weights of n rows, weight[n][nchan][npol], say: flag of the same shape, and the
 * mean of the weights that are not 0, mean[n][npol]. */
void judge(const float *weight, size_t n, size_t nchan, size_t npol, bool *flag,
           float *mean)
{
    double sum[VIS_MAXPOL];
    size_t count[VIS_MAXPOL];

    for (size_t i = 0; i < n * nchan * npol; i++)
        flag[i] = !(weight[i] > 0);
    for (size_t r = 0; r < n; r++, mean += npol) {
        for (size_t p = 0; p < npol; p++)
            sum[p] = 0, count[p] = 0;
        for (size_t c = 0; c < nchan; c++, weight += npol)
            for (size_t p = 0; p < npol; p++) {
                sum[p] += double(weight[p]);
                count[p] += weight[p] > 0;
            }
        for (size_t p = 0; p < npol; p++)
            mean[p] = count[p] > 0 ? float(sum[p] / double(count[p])) : 0;
    }
}

/* The large columns, slice by slice.  Returned: mean[npol][nrow] for put_weights. */
void put_cells(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w,
               cc::Matrix<float> &mean)
{
    const struct vis *vis = w->vis;
    const size_t npol = vis->npol, nchan = vis->nchan,
                 row_bytes = nchan * npol * sizeof(cc::Complex),
                 most = std::max<size_t>(1, SLICE_BYTES / row_bytes / w->tile_rows) *
                        w->tile_rows;
    cc::ArrayColumn<cc::Complex> data(ms, data_name(w));
    cc::Array<bool> flag(shape(npol, nchan, std::min(most, vis->nrow)));
    std::vector<cc::Complex> data_room;
    std::vector<float> weight_room;

    for (size_t first = 0, n; first < vis->nrow; first += n) {
        n = std::min(most, vis->nrow - first);
        const cc::Slicer rows(shape(first), shape(n));
        const cc::Array<float> weight = cells(w, vis->weight, first, n, weight_room);

        if (w->opts->progress != nullptr &&
            w->opts->progress(w->opts->arg, double(first) / double(vis->nrow)) != 0)
            throw told_to_stop();
        data.putColumnRange(rows, cells(w, reinterpret_cast<cc::Complex *>(vis->data),
                                        first, n, data_room));
        judge(weight.data(), n, nchan, npol, flag.data(), mean.data() + first * npol);
        cols.flag().putColumnRange(
            rows, cc::Array<bool>(shape(npol, nchan, n), flag.data(), cc::SHARE));
        if (w->opts->weight_spectrum)
            cols.weightSpectrum().putColumnRange(rows, weight);
    }
    for (const std::string &name : tiled(w))
        cc::ROTiledStManAccessor(ms, "tiled_" + name).clearCaches(); /* to the disk */
}

/* WEIGHT and what follows from it; mean[npol][nrow]. */
void put_weights(cc::MSColumns &cols, const struct vis *vis,
                 const cc::Matrix<float> &mean)
{
    cc::Matrix<float> sigma(vis->npol, vis->nrow);
    cc::Vector<bool> flag_row(vis->nrow);

    for (size_t r = 0; r < vis->nrow; r++) {
        flag_row[r] = true;
        for (size_t p = 0; p < vis->npol; p++) {
            sigma(p, r) = mean(p, r) > 0 ? 1 / std::sqrt(mean(p, r)) : 0;
            flag_row[r] = flag_row[r] && !(mean(p, r) > 0);
        }
    }
    cols.weight().putColumn(mean);
    cols.sigma().putColumn(sigma);
    cols.flagRow().putColumn(flag_row);
}

/* ---- the subtables ---- */

/* [2][1] an ICRS direction, as their polynomials want it. */
cc::Matrix<double> direction(double ra_rad, double dec_rad)
{
    cc::Matrix<double> d(2, 1);

    d(0, 0) = ra_rad;
    d(1, 0) = dec_rad;
    return d;
}

void put_antennas(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    const struct vis *vis = w->vis;
    double site[3];

    astro_site_xyz(&vis->site, site);
    ms.antenna().addRow(vis->nant);
    for (size_t a = 0; a < vis->nant; a++) {
        const double dish = vis->ant_diameter_m[a];
        cc::Vector<double> xyz(3);

        for (int k = 0; k < 3; k++)
            xyz[k] = site[k] + vis->ant_pos_m[a][k];
        cols.antenna().name().put(a, vis->ant_name[a]);
        cols.antenna().station().put(a, vis->ant_name[a]);
        cols.antenna().type().put(a, "GROUND-BASED");
        cols.antenna().mount().put(a, "ALT-AZ");
        cols.antenna().position().put(a, xyz);
        cols.antenna().offset().put(a, cc::Vector<double>(3, 0.0));
        cols.antenna().dishDiameter().put(a, dish > 0 ? dish : w->opts->dish_m);
        cols.antenna().flagRow().put(a, false);
    }
}

void put_feeds(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    const bool circular =
        w->stokes[0] >= cc::Stokes::RR && w->stokes[0] <= cc::Stokes::LL;
    const cc::Vector<double> range = range_s(w->vis);
    cc::Vector<cc::String> hands(2);
    cc::Matrix<cc::Complex> response(2, 2, cc::Complex(0));

    hands[0] = circular ? "R" : "X";
    hands[1] = circular ? "L" : "Y";
    response(0, 0) = response(1, 1) = cc::Complex(1);
    ms.feed().addRow(w->vis->nant);
    for (size_t a = 0; a < w->vis->nant; a++) {
        cols.feed().antennaId().put(a, int(a));
        cols.feed().feedId().put(a, 0);
        cols.feed().spectralWindowId().put(a, -1);
        cols.feed().time().put(a, middle_s(w->vis));
        cols.feed().interval().put(a, range[1] - range[0]);
        cols.feed().numReceptors().put(a, 2);
        cols.feed().beamId().put(a, -1);
        cols.feed().beamOffset().put(a, cc::Matrix<double>(2, 2, 0.0));
        cols.feed().polarizationType().put(a, hands);
        cols.feed().polResponse().put(a, response);
        cols.feed().position().put(a, cc::Vector<double>(3, 0.0));
        cols.feed().receptorAngle().put(a, cc::Vector<double>(2, 0.0));
    }
}

void put_polarisation(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    const size_t npol = w->stokes.size();
    cc::Vector<cc::Int> type(npol);
    cc::Matrix<cc::Int> product(2, npol, 0);

    for (size_t p = 0; p < npol; p++) {
        const int hands =
            w->stokes[p] >= cc::Stokes::RR ? (w->stokes[p] - cc::Stokes::RR) % 4 : 0;

        type[p] = w->stokes[p];
        product(0, p) = hands / 2;
        product(1, p) = hands % 2;
    }
    ms.polarization().addRow();
    cols.polarization().numCorr().put(0, int(npol));
    cols.polarization().corrType().put(0, type);
    cols.polarization().corrProduct().put(0, product);
    cols.polarization().flagRow().put(0, false);
    ms.dataDescription().addRow();
    cols.dataDescription().spectralWindowId().put(0, 0);
    cols.dataDescription().polarizationId().put(0, 0);
    cols.dataDescription().flagRow().put(0, false);
}

void put_window(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct vis *vis)
{
    const cc::Vector<double> freq(shape(vis->nchan), vis->freq_hz, cc::SHARE);
    const cc::Vector<double> width(shape(vis->nchan), vis->width_hz, cc::SHARE);
    double total = 0;

    for (size_t c = 0; c < vis->nchan; c++)
        total += vis->width_hz[c];
    ms.spectralWindow().addRow();
    cols.spectralWindow().name().put(0, "all");
    cols.spectralWindow().numChan().put(0, int(vis->nchan));
    cols.spectralWindow().refFrequency().put(
        0, 0.5 * (vis->freq_hz[0] + vis->freq_hz[vis->nchan - 1]));
    cols.spectralWindow().chanFreq().put(0, freq);
    cols.spectralWindow().chanWidth().put(0, width);
    cols.spectralWindow().effectiveBW().put(0, width);
    cols.spectralWindow().resolution().put(0, width);
    cols.spectralWindow().totalBandwidth().put(0, total);
    cols.spectralWindow().measFreqRef().put(0, cc::MFrequency::TOPO);
    cols.spectralWindow().netSideband().put(0, 1);
    cols.spectralWindow().ifConvChain().put(0, 0);
    cols.spectralWindow().freqGroup().put(0, 0);
    cols.spectralWindow().freqGroupName().put(0, "");
    cols.spectralWindow().flagRow().put(0, false);
}

void put_field(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    const struct vis *vis = w->vis;
    const char *name = w->opts->field;
    double ra, dec;

    vis_mean_pointing(vis, &ra, &dec);
    ms.field().addRow();
    cols.field().name().put(0, name != nullptr && *name != '\0' ? name : vis->object);
    cols.field().code().put(0, "");
    cols.field().time().put(0, middle_s(vis));
    cols.field().numPoly().put(0, 0);
    cols.field().phaseDir().put(0, direction(vis->phase_ra_rad, vis->phase_dec_rad));
    cols.field().delayDir().put(0, direction(vis->phase_ra_rad, vis->phase_dec_rad));
    cols.field().referenceDir().put(0, direction(ra, dec));
    cols.field().sourceId().put(0, -1);
    cols.field().flagRow().put(0, false);
}

/* Where each antenna with data looked during each integration. */
void put_pointing(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct vis *vis)
{
    const double *from = vis->pointing[0], *to = vis->pointing[vis->ntime - 1];
    const bool drift = std::equal(from, from + 3, to); /* in the frame of the earth */
    std::vector<bool> used(vis->nant);
    cc::rownr_t row = 0;

    for (size_t r = 0; r < vis->nrow; r++)
        used[size_t(vis->row_ant1[r])] = used[size_t(vis->row_ant2[r])] = true;
    ms.pointing().addRow(vis->ntime *
                         size_t(std::count(used.begin(), used.end(), true)));
    for (size_t t = 0; t < vis->ntime; t++) {
        double ra, dec;

        vis_pointing(vis, t, &ra, &dec);
        for (size_t a = 0; a < vis->nant; a++) {
            if (!used[a])
                continue;
            cols.pointing().antennaId().put(row, int(a));
            cols.pointing().time().put(row, mjd_s(vis->time_jd[t]));
            cols.pointing().interval().put(row, vis->tint_s[t]);
            cols.pointing().name().put(row, "");
            cols.pointing().numPoly().put(row, 0);
            cols.pointing().timeOrigin().put(row, mjd_s(vis->time_jd[t]));
            cols.pointing().direction().put(row, direction(ra, dec));
            cols.pointing().target().put(row, direction(ra, dec));
            cols.pointing().tracking().put(row, !drift);
            row++;
        }
    }
}

/* The telescope, its correlator, and what the rows were made for. */
void put_observation(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct vis *vis)
{
    const cc::Vector<cc::String> nothing(1, "");

    ms.observation().addRow();
    cols.observation().telescopeName().put(0, vis->telescope);
    cols.observation().timeRange().put(0, range_s(vis));
    cols.observation().observer().put(0, "");
    cols.observation().log().put(0, nothing);
    cols.observation().scheduleType().put(0, "");
    cols.observation().schedule().put(0, nothing);
    cols.observation().project().put(0, "");
    cols.observation().releaseDate().put(0, 0);
    cols.observation().flagRow().put(0, false);
    ms.processor().addRow();
    cols.processor().type().put(0, "CORRELATOR");
    cols.processor().subType().put(0, vis->instrument);
    cols.processor().typeId().put(0, -1);
    cols.processor().modeId().put(0, -1);
    cols.processor().flagRow().put(0, false);
    ms.state().addRow();
    cols.state().sig().put(0, true);
    cols.state().ref().put(0, false);
    cols.state().cal().put(0, 0);
    cols.state().load().put(0, 0);
    cols.state().subScan().put(0, 0);
    cols.state().obsMode().put(0, "OBSERVE_TARGET#ON_SOURCE");
    cols.state().flagRow().put(0, false);
}

void put_history(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    const cc::Vector<cc::String> nothing(1, "");
    const struct ms_opts *o = w->opts;

    ms.history().addRow();
    cols.history().time().put(0, double(time(nullptr)) + 40587 * ASTRO_DAY_S);
    cols.history().observationId().put(0, 0);
    cols.history().objectId().put(0, 0);
    cols.history().priority().put(0, "INFO");
    cols.history().application().put(0, o->origin != nullptr ? o->origin : "watcherd");
    cols.history().origin().put(0, "ms_write");
    cols.history().message().put(0, o->message != nullptr ? o->message : "");
    cols.history().cliCommand().put(0, nothing);
    cols.history().appParams().put(0, nothing);
}

/* All but the rows. */
void put_small(cc::MeasurementSet &ms, cc::MSColumns &cols, const struct work *w)
{
    cols.setDirectionRef(cc::MDirection::ICRS);
    cols.setUVWRef(cc::Muvw::ICRS);
    put_antennas(ms, cols, w);
    put_feeds(ms, cols, w);
    put_polarisation(ms, cols, w);
    put_window(ms, cols, w->vis);
    put_field(ms, cols, w);
    put_pointing(ms, cols, w->vis);
    put_observation(ms, cols, w->vis);
    put_history(ms, cols, w);
    ms.flush();
}

/* ---- the file ---- */

/*
 * casacore aborts the program when a disk is full while it ends a table: destructors of its
 * buffers write, and throw.  So the room for that is held by a file of our own, which makes
 * way just before tables are ended; only the large columns meet a full disk.
 */
struct ballast {
    std::string path;
    size_t bytes;
};

/* Status: 0; -ENOSPC and other errnos. */
int ballast_lay(const struct ballast *b)
{
    int fd = open(b->path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;

    if (fd == -1)
        return -errno;
    rc = -posix_fallocate(fd, 0, off_t(b->bytes));
    close(fd);
    if (rc != 0)
        unlink(b->path.c_str());
    return rc;
}

void ballast_drop(const struct ballast *b)
{
    unlink(b->path.c_str());
}

/* The exception in flight as a code and a sentence. */
int failed(const char *path, struct err *e)
{
    try {
        throw;
    } catch (const told_to_stop &) {
        return err_set(e, -ECANCELED, "stopped while writing %s", path);
    } catch (const std::bad_alloc &) {
        return err_set(e, -ENOMEM, "out of memory for %s", path);
    } catch (const cc::SystemCallError &x) {
        return err_set(e, -x.error(), "cannot write %s: %s", path, strerror(x.error()));
    } catch (const std::exception &x) {
        for (int code : {ENOSPC, EDQUOT, EFBIG, EIO, EROFS, EACCES, EMFILE})
            if (strstr(x.what(), strerror(code)) != nullptr)
                return err_set(e, -code, "cannot write %s: %s", path, strerror(code));
        std::string why = x.what();
        std::replace(why.begin(), why.end(), '\n', ' ');
        return err_set(e, -EIO, "cannot write %s: casacore: %s", path, why.c_str());
    } catch (...) {
        return err_set(e, -EIO, "cannot write %s: casacore failed", path);
    }
}

/* Status: that of ballast_lay, with a sentence. */
int ballast_must(const struct ballast *b, const char *path, struct err *e)
{
    int rc = ballast_lay(b);

    return rc == 0 ? 0 : err_set(e, rc, "cannot write %s: %s", path, strerror(-rc));
}

int write_tables(const std::string &inner, const struct ballast *ballast,
                 const char *path, const struct work *w, struct err *e)
{
    int rc = ballast_must(ballast, path, e);

    ballast_drop(ballast);
    if (rc != 0)
        return rc;
    try {
        cc::MeasurementSet ms = create(inner, w);

        try {
            cc::MSColumns cols(ms);
            cc::Matrix<float> mean(w->vis->npol, w->vis->nrow);

            put_small(ms, cols, w);
            rc = ballast_must(ballast, path, e);
            if (rc == 0) {
                ms.addRow(w->vis->nrow);
                put_cells(ms, cols, w, mean);
                ballast_drop(ballast);
                put_rows(cols, w->vis);
                put_weights(cols, w->vis, mean);
                ms.flush();
            }
        } catch (...) {
            rc = failed(path, e);
        }
        ballast_drop(ballast);
        if (rc != 0)
            ms.markForDelete(); /* or it would be written to the end */
    } catch (...) {
        if (rc == 0)
            rc = failed(path, e);
    }
    return rc;
}

/* Status: 0; -ENOSPC it will not fit. */
int check_room(const char *folder, const char *path, const struct work *w,
               struct err *e)
{
    const struct vis *vis = w->vis;
    const double cells = double(vis->nrow) * double(vis->nchan) * double(vis->npol);
    const double want = cells * (8 + 1. / 8 + (w->opts->weight_spectrum ? 4 : 0)) +
                        double(vis->nrow * ROW_BYTES + BALLAST_BYTES);
    uint64_t have;

    if (path_free_bytes(folder, &have, nullptr) == 0 && double(have) < want)
        return err_set(e, -ENOSPC, "no room for %s: it takes %.3g MB, %.3g MB are free",
                       path, want / 1e6, double(have) / 1e6);
    return 0;
}

/* Force the tables to the disk and give them their name. */
int publish(const std::string &inner, const std::string &parent, const char *path,
            struct err *e)
{
    int rc = path_fsync_tree(inner.c_str(), e);

    if (rc != 0)
        return rc;
    if (rename(inner.c_str(), path) != 0) {
        rc = errno == ENOTEMPTY || errno == ENOTDIR ? EEXIST : errno;
        return err_set(e, -rc, "cannot make %s: %s", path, strerror(rc));
    }
    return path_fsync_dir(parent.c_str(), e);
}

int write_beside(const std::string &path, const struct work *w, struct err *e)
{
    const size_t slash = path.rfind('/');
    const std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "."
                               : slash == 0               ? "/"
                                                          : path.substr(0, slash);
    std::string folder = parent + "/." + base.substr(0, 64) + ".XXXXXX";
    int rc = check_room(parent.c_str(), path.c_str(), w, e);

    if (rc != 0)
        return rc;
    if (mkdtemp(&folder[0]) == nullptr)
        return err_set(e, -errno, "cannot write %s: %s", path.c_str(), strerror(errno));
    const std::string inner = folder + "/" + base;
    const struct ballast ballast = {folder + "/room",
                                    BALLAST_BYTES + w->vis->nrow * ROW_BYTES};
    rc = write_tables(inner, &ballast, path.c_str(), w, e);
    if (rc == 0)
        rc = publish(inner, parent, path.c_str(), e);
    path_remove_tree(folder.c_str(), nullptr);
    return rc;
}

} /* namespace */

int ms_write(const char *path, const struct vis *vis, const struct ms_opts *opts,
             struct err *e)
{
    struct stat st;

    if (vis->phasing != VIS_SIDEREAL)
        return err_set(e, -EINVAL, "%s: the visibilities have no common phase centre",
                       path);
    if (lstat(path, &st) == 0)
        return err_set(e, -EEXIST, "%s exists already", path);
    try {
        const size_t row_bytes = vis->nchan * vis->npol * sizeof(cc::Complex);
        struct work w = {vis, opts, {}, {}, 0};
        std::string plain = path;
        int rc = order_pols(&w, e);

        while (plain.size() > 1 && plain.back() == '/')
            plain.pop_back();
        /* a multiple of 8: flags are bits */
        w.tile_rows = std::max<size_t>(1, TILE_BYTES / row_bytes / 8) * 8;
        return rc != 0 ? rc : write_beside(plain, &w, e);
    } catch (...) {
        return failed(path, e);
    }
}
