#include "tb/campaign/store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <stdexcept>

#include "tb/campaign/sqlite.h"
#include "tb/report/sha256.h"

namespace understudy::tb {

namespace {

constexpr int schema_version = 2;
constexpr const char* schema = R"(
CREATE TABLE campaign(id INTEGER PRIMARY KEY, name TEXT, git_commit TEXT, dirty INTEGER, config_sha256 TEXT UNIQUE,
                      toolchain TEXT, host TEXT, started TEXT, seed INTEGER, scenario TEXT, mode TEXT);
CREATE TABLE golden(campaign INTEGER PRIMARY KEY, state_hash TEXT, trace_hash TEXT, first_event INTEGER,
                    n_events INTEGER, sim_ps INTEGER, wall_s REAL);
CREATE TABLE site(id INTEGER PRIMARY KEY, path TEXT UNIQUE, kind TEXT, width INTEGER, depth INTEGER, protection TEXT,
                  hard_soft TEXT, owner TEXT);
CREATE TABLE injection(id TEXT PRIMARY KEY, campaign INTEGER, site INTEGER, bit_or_param INTEGER, model TEXT,
                       trigger_event INTEGER, trigger_ps INTEGER, n_faults INTEGER, parent_id TEXT);
CREATE TABLE result(injection TEXT PRIMARY KEY, outcome TEXT, allowed INTEGER, detected_by TEXT, detect_ps INTEGER,
                    recovered_ps INTEGER, bytes_lost INTEGER, bytes_dup INTEGER, bytes_resent INTEGER, conns_hit INTEGER,
                    invariant TEXT, end_hash TEXT, converged_at INTEGER, wall_us INTEGER, worker INTEGER, rc INTEGER,
                    to_end INTEGER, end_event INTEGER, why TEXT);
CREATE TABLE control(campaign INTEGER, trigger_event INTEGER, equal INTEGER, PRIMARY KEY(campaign, trigger_event));
CREATE TABLE artifact(injection TEXT, kind TEXT, path TEXT, sha256 TEXT, PRIMARY KEY(injection, path));
)";
constexpr const char* dirty_mark = "-dirty";

std::uint64_t number(const database& d, const std::string& sql) {
  statement s(d, sql);
  return s.step() ? s.number(0) : 0;
}

void make_schema(database& d) {
  const std::uint64_t v = number(d, "PRAGMA user_version");
  if (v == schema_version) return;
  if (v != 0 || number(d, "SELECT count(*) FROM sqlite_master") != 0)
    throw std::runtime_error(
        fmt::format("{}: not a result database of this version (schema {}, expected {}); take another --out",
                    d.path(), v, schema_version));
  d.run(fmt::format("BEGIN; {} PRAGMA user_version = {}; COMMIT", schema, schema_version));
}

void require_schema(const database& d) {
  if (number(d, "PRAGMA user_version") != schema_version)
    throw std::runtime_error(d.path() + ": not a result database of this version");
}

bool is_dirty(const std::string& revision) {
  return revision.ends_with(dirty_mark);
}
std::string commit_of(const std::string& revision) {
  return is_dirty(revision) ? revision.substr(0, revision.size() - std::string(dirty_mark).size()) : revision;
}
constexpr const char* revision_column = "git_commit || CASE WHEN dirty THEN '-dirty' ELSE '' END";

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

std::string utc_now() {
  const std::time_t t = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&t));
  return text;
}

void begin_campaign(const database& db, const campaign_identity& c) {
  statement s(db,
              "INSERT INTO campaign(name, git_commit, dirty, config_sha256, toolchain, host, started, seed, "
              "scenario, mode) VALUES(?,?,?,?,?,?,?,?,?,?)");
  s.bind(c.name).bind(commit_of(c.revision)).bind(std::uint64_t{is_dirty(c.revision)}).bind(c.config);
  s.bind(c.toolchain).bind(host_name()).bind(utc_now()).bind(c.seed).bind(c.scenario).bind(c.mode).step();
  statement g(db, "INSERT INTO golden SELECT id,?,?,?,?,?,? FROM campaign");
  g.bind(fmt::format("{:016x}", c.state_hash)).bind(fmt::format("{:016x}", c.golden_hash));
  g.bind(c.first_event).bind(c.golden_events).bind(c.golden_ps).bind(c.golden_wall_s).step();
  statement site(db, "INSERT INTO site(id, path, kind, hard_soft, owner) VALUES(1,?,?,'soft','adapter')");
  site.bind(c.site_path).bind(c.site_kind).step();
}

}  // namespace

const char* code(outcome o) {
  constexpr const char* codes[] = {"N0", "N1", "N2", "M0", "R2", "A1", "H1", "P1", "S1"};
  return codes[static_cast<int>(o)];
}

std::string injection_id(const campaign_identity& c, std::uint64_t k, std::uint64_t param) {
  return "fi1-" + sha256(fmt::format("{} {} {} {}", c.config, c.mode, k, param)).substr(0, 16);
}

struct result_store::impl {
  impl(const std::string& path, const campaign_identity& c) : identity(c), db(path) {
    db.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    make_schema(db);
    bool known = false;
    {
      statement others(db, fmt::format("SELECT config_sha256, {} FROM campaign", revision_column));
      while (others.step()) {
        if (others.text(0) != c.config)
          throw std::runtime_error(
              path + ": holds another campaign (plan, scenario or parameters differ); take another --out");
        if (others.text(1) != c.revision)
          throw std::runtime_error(
              fmt::format("{}: was begun with revision {}, this is {}; take another --out", path,
                          others.text(1), c.revision));
        known = true;
      }
    }
    db.run("BEGIN");
    if (!known) begin_campaign(db, c);
    campaign = number(db, "SELECT id FROM campaign");
    insert = std::make_unique<statement>(db, "INSERT OR REPLACE INTO injection VALUES(?,?,1,?,?,?,?,?,?)");
    insert_result = std::make_unique<statement>(
        db, "INSERT OR REPLACE INTO result VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  }
  campaign_identity identity;
  database db;
  std::uint64_t campaign = 0;
  std::unique_ptr<statement> insert;
  std::unique_ptr<statement> insert_result;
};

result_store::result_store(const std::string& path, const campaign_identity& c)
    : impl_(std::make_unique<impl>(path, c)) {}

result_store::~result_store() = default;

std::set<std::pair<std::uint64_t, std::uint64_t>> result_store::done() const {
  std::set<std::pair<std::uint64_t, std::uint64_t>> all;
  statement s(impl_->db,
              "SELECT trigger_event, bit_or_param FROM injection JOIN result ON injection = id WHERE outcome "
              "!= 'N2'");
  while (s.step()) all.emplace(s.number(0), s.number(1));
  return all;
}

std::set<std::uint64_t> result_store::controlled() const {
  std::set<std::uint64_t> all;
  statement s(impl_->db, "SELECT trigger_event FROM control");
  while (s.step()) all.insert(s.number(0));
  return all;
}

void result_store::add(const injection_result& r) {
  const std::string id = injection_id(impl_->identity, r.k, r.param);
  statement& i = impl_->insert->again();
  i.bind(id).bind(impl_->campaign).bind(r.param).bind(impl_->identity.model).bind(r.k).bind(r.trigger_ps);
  i.bind(r.n_faults)
      .bind(impl_->identity.mode == "double_failure" ? injection_id(impl_->identity, r.k, 0) : "")
      .step();
  statement& s = impl_->insert_result->again();
  s.bind(id).bind(code(r.what)).bind(std::uint64_t{r.allowed}).bind(r.detect_ps ? "driver" : "");
  s.bind(r.detect_ps).bind(r.recovered_ps).bind(r.bytes_lost).bind(r.bytes_dup).bind(r.bytes_resent);
  s.bind(r.conns_hit).bind(r.invariant).bind(fmt::format("{:016x}", r.end_hash)).bind(r.converged_at);
  s.bind(std::uint64_t{r.wall_us}).bind(std::uint64_t{r.worker}).bind(std::uint64_t{r.rc});
  s.bind(std::uint64_t{r.to_end}).bind(r.end_event).bind(r.why).step();
}

void result_store::add_control(std::uint64_t k, bool equal) {
  statement s(impl_->db, "INSERT OR REPLACE INTO control VALUES(?,?,?)");
  s.bind(impl_->campaign).bind(k).bind(std::uint64_t{equal}).step();
}

void result_store::commit() {
  impl_->db.run("COMMIT; BEGIN");
}

store_totals result_store::totals() const {
  const database& db = impl_->db;
  store_totals t;
  statement s(db, "SELECT outcome, count(*) FROM result GROUP BY outcome");
  while (s.step()) {
    t.outcomes[s.text(0)] = s.number(1);
    t.injections += s.number(1);
  }
  t.inconclusive = t.outcomes.contains("N2") ? t.outcomes["N2"] : 0;
  t.not_allowed = number(db, "SELECT count(*) FROM result WHERE allowed = 0 AND outcome != 'N2'");
  t.tail_checks = number(db, "SELECT count(*) FROM result WHERE to_end AND converged_at IS NOT NULL");
  t.tail_mismatches =
      number(db, "SELECT count(*) FROM result WHERE to_end AND converged_at IS NOT NULL AND outcome != 'R2'");
  t.control_forks = number(db, "SELECT count(*) FROM control");
  t.control_mismatches = number(db, "SELECT count(*) FROM control WHERE NOT equal");
  return t;
}

std::vector<std::string> result_store::failures(std::size_t limit) const {
  std::vector<std::string> lines;
  statement s(
      impl_->db,
      "SELECT id, trigger_event, bit_or_param, outcome, why FROM injection JOIN result ON injection = "
      "id WHERE NOT allowed ORDER BY outcome = 'N2', trigger_event, bit_or_param LIMIT ?");
  s.bind(std::uint64_t{limit});
  while (s.step())
    lines.push_back(fmt::format("{} after event {}{}: {} {}", s.text(0), s.number(1),
                                s.number(2) ? fmt::format(" ({})", s.number(2)) : "", s.text(3), s.text(4)));
  return lines;
}

std::uint64_t merge_stores(const std::string& to, const std::vector<std::string>& from) {
  for (const std::string& f : from)
    if (!std::filesystem::exists(f)) throw std::runtime_error(f + ": no such file");
  database d(to);
  make_schema(d);
  std::uint64_t fresh = 0;
  for (const std::string& f : from) {
    {
      const database other(f);
      require_schema(other);
      const std::string both = fmt::format("SELECT config_sha256, {} FROM campaign", revision_column);
      statement theirs(other, both);
      while (theirs.step()) {
        statement ours(d, both);
        while (ours.step())
          if (ours.text(0) != theirs.text(0) || ours.text(1) != theirs.text(1))
            throw std::runtime_error(f + ": holds another campaign or revision than " + to);
      }
    }
    statement(d, "ATTACH ? AS other").bind(f).step();
    const std::uint64_t before = number(d, "SELECT count(*) FROM result");
    std::string all = "BEGIN;";
    for (const char* table : {"campaign", "golden", "site", "injection", "result", "control", "artifact"})
      all += fmt::format("INSERT OR IGNORE INTO {0} SELECT * FROM other.{0};", table);
    d.run(all + "COMMIT");
    fresh += number(d, "SELECT count(*) FROM result") - before;
    d.run("DETACH other");
  }
  return fresh;
}

stored_injection find_injection(const std::string& path, const std::string& id) {
  if (!std::filesystem::exists(path)) throw std::runtime_error(path + ": no such file");
  const database d(path);
  require_schema(d);
  statement s(d, fmt::format("SELECT c.scenario, c.name, c.mode, i.trigger_event, i.bit_or_param, r.outcome, "
                             "r.why, {} FROM injection i JOIN campaign c ON c.id = i.campaign JOIN result r "
                             "ON r.injection = i.id WHERE i.id = ?",
                             revision_column));
  s.bind(id);
  if (!s.step()) throw std::runtime_error(path + ": no injection " + id);
  return {s.text(0), s.text(1), s.text(2), s.number(3), s.number(4), s.text(5), s.text(6), s.text(7)};
}

void store_artifacts(const std::string& path, const std::string& id, const std::vector<artifact>& files) {
  database d(path);
  d.run("BEGIN");
  statement(d, "DELETE FROM artifact WHERE injection = ?").bind(id).step();
  for (const artifact& a : files)
    statement(d, "INSERT INTO artifact VALUES(?,?,?,?)")
        .bind(id)
        .bind(a.kind)
        .bind(a.path)
        .bind(sha256_of_file(a.path))
        .step();
  d.run("COMMIT");
}

}  // namespace understudy::tb
