/*
 * test_product.c: a product is visible whole or not at all (promise P4), whatever goes
 * wrong on the way.
 */
#include "tests/test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/path.h"
#include "pipeline/product/product.h"

enum { SIZE = 3 << 20 }; /* of one file: more than the buffer of a copy */

static struct err e;

/* ---- rig ---- */

static void put(const char *path, const char *text)
{
    assert_int_equal(path_write(path, text, strlen(text), &e), 0);
}

/* A scratch directory with two files. */
static void fill(const char *dir)
{
    char path[PATH_MAX], *big = malloc(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        big[i] = (char)(i * 31 % 251);
    assert_int_equal(path_mkdirs(dir, &e), 0);
    snprintf(path, sizeof path, "%s/image.fits", dir);
    assert_int_equal(path_write(path, big, SIZE, &e), 0);
    snprintf(path, sizeof path, "%s/note.txt", dir);
    put(path, "well\n");
    free(big);
}

static struct product_new made_of(const char *scratch, uint64_t generation)
{
    fill(scratch);
    return (struct product_new){.scratch = scratch,
                                .kind_dir = "products/tiles",
                                .name = "G",
                                .generation = generation};
}

static int publish(const char *scratch, uint64_t generation,
                   const struct product_gate *gate)
{
    struct product_new p = made_of(scratch, generation);
    int rc;

    memset(&e, 0, sizeof e);
    rc = product_publish(&p, gate, &e);
    assert_int_equal(p.manifest != NULL, rc == 0);
    json_decref(p.manifest);
    return rc;
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* Entries of a folder, the hidden ones too. */
static int entries(const char *dir)
{
    char command[PATH_MAX + 32], text[32] = "";
    FILE *f;

    snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
    f = popen(command, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    assert_int_equal(pclose(f), 0);
    return atoi(text);
}

static int current(int digest)
{
    json_t *manifest;
    int rc;

    memset(&e, 0, sizeof e);
    rc = product_current(&manifest, NULL, "products/tiles", "G", digest, &e);
    assert_int_equal(manifest != NULL, rc == 0);
    json_decref(manifest);
    return rc;
}

/* A gate that counts, and looks at what is visible when it is asked. */
struct guard {
    int may, commit;            /* what it answers */
    int asked, told;            /* how often it was */
    bool seen_may, seen_commit; /* was generation 7 visible then? */
};

static int guard_may(void *arg, struct err *why)
{
    struct guard *g = arg;

    g->asked++;
    g->seen_may = is_there("products/tiles/G.gen7") || is_there("products/tiles/G");
    return g->may == 0 ? 0 : err_set(why, g->may, "the claim is lost");
}

static int guard_commit(void *arg, struct err *why)
{
    struct guard *g = arg;

    g->told++;
    g->seen_commit = is_there("products/tiles/G.gen7/manifest.json");
    return g->commit == 0 ? 0 : err_set(why, g->commit, "the claim ended meanwhile");
}

static struct product_gate gate_of(struct guard *g)
{
    return (struct product_gate){.may = guard_may, .commit = guard_commit, .arg = g};
}

/* A folder of ours on another file system than the test's, or NULL. */
static const char *elsewhere(void)
{
    static char dir[] = "/dev/shm/watcherd-test-XXXXXX";
    struct stat here, there;

    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    if (stat(".", &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || mkdtemp(dir) == NULL)
        return NULL;
    return dir;
}

/* ---- whole ---- */

static void a_product_appears_with_manifest_and_link(void **state)
{
    struct guard g = {0};
    struct product_gate gate = gate_of(&g);
    char target[64] = "";

    (void)state;
    assert_int_equal(publish("scratch", 7, &gate), 0);
    assert_int_equal(g.asked, 1);
    assert_int_equal(g.told, 1);
    assert_false(g.seen_may);
    assert_true(g.seen_commit);
    assert_false(is_there("scratch"));
    assert_int_equal(readlink("products/tiles/G", target, sizeof target - 1), 6);
    assert_string_equal(target, "G.gen7");
    assert_int_equal(entries("products/tiles"), 2);
    assert_int_equal(current(1), 0);
    assert_int_equal(product_generation("products/tiles", "G"), 7);
}

static void the_manifest_says_what_it_was_made_of(void **state)
{
    struct product_input in;
    struct product_new p = made_of("scratch", 7);
    json_t *meta = json_pack("{s:s}", "qa", "PASS"), *file;

    (void)state;
    put("member.hdf5", "data");
    assert_int_equal(product_input_stat(&in, "member.hdf5", &e), 0);
    assert_int_equal(product_input_digest(&in, &e), 0);
    p.input = &in;
    p.ninput = 1;
    p.meta = meta;
    assert_int_equal(product_publish(&p, NULL, &e), 0);
    assert_string_equal(p.path, "products/tiles/G.gen7");
    assert_int_equal(json_integer_value(json_object_get(p.manifest, "generation")), 7);
    assert_true(json_equal(json_object_get(p.manifest, "meta"), meta));
    file = json_array_get(json_object_get(p.manifest, "inputs"), 0);
    assert_string_equal(json_string_value(json_object_get(file, "path")),
                        "member.hdf5");
    assert_int_equal(json_integer_value(json_object_get(file, "size")), 4);
    assert_string_equal(
        json_string_value(json_object_get(file, "sha256")), /* of "data" */
        "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7");
    file = json_array_get(json_object_get(p.manifest, "files"), 1);
    assert_string_equal(json_string_value(json_object_get(file, "name")), "note.txt");
    assert_int_equal(json_array_size(json_object_get(p.manifest, "files")), 2);
    json_decref(p.manifest);
    json_decref(meta);
    assert_int_equal(product_input_stat(&in, "nothing.hdf5", &e), -ENOENT);
    assert_non_null(strstr(e.text, "nothing.hdf5"));
}

static void scratch_on_another_file_system_is_copied_whole(void **state)
{
    const char *dir = elsewhere();

    (void)state;
    if (dir == NULL) {
        print_message("skipped: no second file system at /dev/shm\n");
        skip();
    }
    assert_int_equal(publish(dir, 7, NULL), 0);
    assert_int_equal(current(1), 0);
    assert_int_equal(entries("products/tiles"), 2);
    assert_false(is_there(dir));
}

/* ---- not at all ---- */

static void a_late_refusal_leaves_nothing_visible(void **state)
{
    struct guard g = {.may = -ESTALE};
    struct product_gate gate = gate_of(&g);

    (void)state;
    assert_int_equal(publish("scratch", 7, &gate), -ESTALE);
    assert_string_equal(e.text, "the claim is lost");
    assert_int_equal(g.told, 0);
    assert_int_equal(entries("products/tiles"), 0);
    assert_true(is_there("scratch/image.fits"));
    assert_int_equal(current(0), -ENOENT);
}

/* The copy stayed for ever: each generation has a name of its own. */
static void a_late_refusal_takes_the_copy_away(void **state)
{
    struct guard g = {.may = -ESTALE};
    struct product_gate gate = gate_of(&g);
    const char *dir = elsewhere();
    char image[PATH_MAX];

    (void)state;
    if (dir == NULL) {
        print_message("skipped: no second file system at /dev/shm\n");
        skip();
    }
    snprintf(image, sizeof image, "%s/image.fits", dir);
    assert_int_equal(publish(dir, 7, &gate), -ESTALE);
    assert_int_equal(entries("products/tiles"), 0);
    assert_true(is_there(image));
    assert_int_equal(publish(dir, 8, NULL), 0);
    assert_int_equal(publish(dir, 8, NULL), -EEXIST);
    assert_int_equal(entries("products/tiles"), 2);
    assert_int_equal(path_remove_tree(dir, &e), 0);
}

static void an_end_refused_after_the_rename_does_not_move_the_link(void **state)
{
    struct guard g = {.commit = -ESTALE};
    struct product_gate gate = gate_of(&g);

    (void)state;
    assert_int_equal(publish("old", 6, NULL), 0);
    assert_int_equal(publish("scratch", 7, &gate), -ESTALE);
    assert_string_equal(e.text, "the claim ended meanwhile");
    assert_int_equal(product_generation("products/tiles", "G"), 6);
    assert_int_equal(product_newest("products/tiles", "G"), 7);
}

static void a_generation_is_published_once(void **state)
{
    struct stat before, after;

    (void)state;
    assert_int_equal(publish("scratch", 7, NULL), 0);
    assert_int_equal(stat("products/tiles/G/manifest.json", &before), 0);
    assert_int_equal(publish("again", 7, NULL), -EEXIST);
    assert_non_null(strstr(e.text, "products/tiles/G.gen7"));
    assert_int_equal(stat("products/tiles/G/manifest.json", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(is_there("again/image.fits"));
    assert_int_equal(current(1), 0);
}

static void a_rename_that_fails_leaves_scratch_as_it_was(void **state)
{
    char name[256], text[128];
    struct product_new p = made_of("scratch", 7);

    (void)state;
    memset(name, 'n',
           sizeof name); /* with its ".gen7" more than a file name may have */
    name[252] = '\0';
    p.name = name;
    assert_int_equal(product_publish(&p, NULL, &e), -ENAMETOOLONG);
    snprintf(text, sizeof text, "cannot publish products/tiles/%.32s", name);
    assert_memory_equal(e.text, text, strlen(text));
    assert_null(p.manifest);
    assert_true(is_there("scratch/image.fits"));
    assert_int_equal(entries("products/tiles"), 0);

    put("file", "in the way");
    p.name = "G";
    p.kind_dir = "file";
    assert_int_equal(product_publish(&p, NULL, &e), -ENOTDIR);
    p.kind_dir = "products/tiles";
    p.scratch = "nowhere";
    assert_int_equal(product_publish(&p, NULL, &e), -ENOENT);
    assert_non_null(strstr(e.text, "nowhere"));
}

/* ---- which is current ---- */

static void an_older_generation_that_ends_late_does_not_move_the_link_back(void **state)
{
    (void)state;
    assert_int_equal(publish("nine", 9, NULL), 0);
    assert_int_equal(publish("ten", 10, NULL), 0);
    assert_int_equal(publish("eight", 8, NULL), 0);
    assert_int_equal(product_generation("products/tiles", "G"), 10);
    assert_int_equal(product_newest("products/tiles", "G"), 10);
}

static void whether_the_link_can_move_is_known_beforehand(void **state)
{
    (void)state;
    assert_int_equal(path_mkdirs("kind", &e), 0);
    assert_int_equal(product_link_ready("kind", "p", &e), 0);
    assert_int_equal(symlink("p.gen1", "kind/p"), 0);
    assert_int_equal(product_link_ready("kind", "p", &e), 0);
    assert_int_equal(mkdir("kind/q", 0755), 0);
    assert_int_equal(product_link_ready("kind", "q", &e), -EISDIR);
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(chmod("kind", 01777), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(product_link_ready("kind", "p", &e), -EPERM);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(e.text, "user 0"));
}

static void only_whole_numbers_are_generations(void **state)
{
    (void)state;
    assert_int_equal(product_newest("products/tiles", "G"), 0);
    assert_int_equal(product_generation("products/tiles", "G"), 0);
    assert_int_equal(path_mkdirs("products/tiles/G.gen12x", &e), 0);
    assert_int_equal(path_mkdirs("products/tiles/G.gen3", &e), 0);
    assert_int_equal(path_mkdirs("products/tiles/GG.gen40", &e), 0);
    assert_int_equal(path_mkdirs("products/tiles/.staging-G.gen50", &e), 0);
    assert_int_equal(product_newest("products/tiles", "G"), 3);
    /* a name that looks like a generation itself */
    assert_int_equal(symlink("G.gen5.gen6", "products/tiles/G.gen5"), 0);
    assert_int_equal(product_generation("products/tiles", "G.gen5"), 6);
}

static void a_product_that_is_not_whole_says_what_is_wrong(void **state)
{
    static const struct {
        const char *file, *text, *says;
    } broken[] = {
        {"manifest.json", "{", "is not a manifest"},
        {"manifest.json", "{}", "it has no files"},
        {"manifest.json", "{\"files\": [{\"name\": 3}]}", "bad entry 0"},
        {"manifest.json",
         "{\"files\": [{\"name\": \"../x\", \"size\": 1, \"sha256\": \"\"}]}",
         "bad entry 0"},
        {"note.txt", "longer than it was\n", "note.txt has 19 bytes and should have 5"},
    };
    char path[PATH_MAX];

    (void)state;
    assert_int_equal(current(0), -ENOENT);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(publish("scratch", i + 1, NULL), 0);
        snprintf(path, sizeof path, "products/tiles/G/%s", broken[i].file);
        put(path, broken[i].text);
        assert_int_equal(current(0), ERR_FORMAT);
        assert_non_null(strstr(e.text, broken[i].says));
    }
    assert_int_equal(publish("scratch", 20, NULL), 0);
    put("products/tiles/G/note.txt", "evil\n");
    assert_int_equal(current(0), 0); /* of the right size */
    assert_int_equal(current(1), ERR_FORMAT);
    assert_non_null(strstr(e.text, "note.txt does not have its SHA-256"));
    assert_int_equal(unlink("products/tiles/G/note.txt"), 0);
    assert_int_equal(current(0), ERR_FORMAT);
    assert_non_null(strstr(e.text, "note.txt is missing"));
    assert_int_equal(unlink("products/tiles/G/manifest.json"), 0);
    assert_int_equal(current(0), ERR_FORMAT);
    assert_non_null(strstr(e.text, "has no manifest"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_DIR(a_product_appears_with_manifest_and_link),
        OWN_DIR(the_manifest_says_what_it_was_made_of),
        OWN_DIR(scratch_on_another_file_system_is_copied_whole),
        OWN_DIR(a_late_refusal_leaves_nothing_visible),
        OWN_DIR(a_late_refusal_takes_the_copy_away),
        OWN_DIR(an_end_refused_after_the_rename_does_not_move_the_link),
        OWN_DIR(a_generation_is_published_once),
        OWN_DIR(a_rename_that_fails_leaves_scratch_as_it_was),
        OWN_DIR(an_older_generation_that_ends_late_does_not_move_the_link_back),
        OWN_DIR(whether_the_link_can_move_is_known_beforehand),
        OWN_DIR(only_whole_numbers_are_generations),
        OWN_DIR(a_product_that_is_not_whole_says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
