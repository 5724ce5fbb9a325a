#include "tb/campaign/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <stdexcept>

#include "model/abi/crc32c.h"

namespace understudy::tb {

namespace {

constexpr int schema_version = 1;
constexpr const char* schema = R"(
CREATE TABLE campaign(id INTEGER PRIMARY KEY, name TEXT, mode TEXT, revision TEXT, config TEXT UNIQUE, seed INTEGER,
                      scenario TEXT, golden_events INTEGER, golden_hash TEXT);
CREATE TABLE injection(id TEXT PRIMARY KEY, campaign INTEGER, k INTEGER, j INTEGER);
CREATE TABLE result(injection TEXT PRIMARY KEY, outcome TEXT, allowed INTEGER, to_end INTEGER, rest_equal INTEGER,
                    recovered_ps INTEGER, end_event INTEGER, wall_us INTEGER, why TEXT);
)";

// A database handle that closes itself and turns every failure into an exception with the path.
class database {
 public:
  explicit database(const std::string& path) : path_(path) {
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) {
      const std::string why = sqlite3_errmsg(db_);
      sqlite3_close(db_);
      throw std::runtime_error(path + ": " + why);
    }
    sqlite3_busy_timeout(db_, 10'000);
  }
  ~database() { sqlite3_close(db_); }
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  void run(const std::string& sql) {
    char* error = nullptr;
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error) != SQLITE_OK) {
      const std::string why = error ? error : "failed";
      sqlite3_free(error);
      throw std::runtime_error(path_ + ": " + why);
    }
  }
  sqlite3* get() const { return db_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  sqlite3* db_ = nullptr;
};

class statement {
 public:
  statement(const database& d, const std::string& sql) : db_(d) {
    if (sqlite3_prepare_v2(d.get(), sql.c_str(), -1, &s_, nullptr) != SQLITE_OK)
      throw std::runtime_error(d.path() + ": " + sqlite3_errmsg(d.get()));
  }
  ~statement() { sqlite3_finalize(s_); }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;
  statement& bind(int i, const std::string& v) {
    sqlite3_bind_text(s_, i, v.c_str(), -1, SQLITE_TRANSIENT);
    return *this;
  }
  statement& bind(int i, std::uint64_t v) {
    sqlite3_bind_int64(s_, i, static_cast<sqlite3_int64>(v));
    return *this;
  }
  // True while there is a row.
  bool step() {
    const int rc = sqlite3_step(s_);
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) throw std::runtime_error(db_.path() + ": " + sqlite3_errmsg(db_.get()));
    return false;
  }
  void again() {
    sqlite3_reset(s_);
    sqlite3_clear_bindings(s_);
  }
  std::string text(int i) const {
    const auto* t = sqlite3_column_text(s_, i);
    return t ? reinterpret_cast<const char*>(t) : "";
  }
  std::uint64_t number(int i) const { return static_cast<std::uint64_t>(sqlite3_column_int64(s_, i)); }

 private:
  const database& db_;
  sqlite3_stmt* s_ = nullptr;
};

std::uint64_t version_of(const database& d) {
  statement s(d, "PRAGMA user_version");
  s.step();
  return s.number(0);
}

void make_schema(database& d) {
  const std::uint64_t v = version_of(d);
  if (v == schema_version) return;
  statement tables(d, "SELECT count(*) FROM sqlite_master");
  tables.step();
  if (v != 0 || tables.number(0) != 0)
    throw std::runtime_error(fmt::format("{}: not a result database of this version (schema {}, expected {})",
                                         d.path(), v, schema_version));
  d.run(schema);
  d.run(fmt::format("PRAGMA user_version = {}", schema_version));
}

}  // namespace

const char* code(outcome o) {
  constexpr const char* codes[] = {"N0", "N1", "N2", "M0", "R2", "A1", "H1", "P1", "S1"};
  return codes[static_cast<int>(o)];
}

std::string injection_id(const campaign_identity& c, std::uint64_t k, std::uint64_t j) {
  const std::string what = fmt::format("{} {} {} {}", c.config, c.mode, k, j);
  const std::uint64_t low = crc32c(what.data(), what.size());
  const std::uint64_t high = crc32c(what.data(), what.size(), 0x5eed);
  return fmt::format("fi1-{:08x}{:08x}", high, low);
}

struct result_store::impl {
  impl(const std::string& path, const campaign_identity& c) : identity(c), db(path) {
    db.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    make_schema(db);
    statement others(db, "SELECT config, revision FROM campaign");
    bool known = false;
    while (others.step()) {
      if (others.text(0) != c.config)
        throw std::runtime_error(
            path + ": holds another campaign (plan, scenario or parameters differ); take another --out");
      if (others.text(1) != c.revision)
        throw std::runtime_error(fmt::format("{}: was begun with revision {}, this is {}; take another --out",
                                             path, others.text(1), c.revision));
      known = true;
    }
    if (!known) {
      statement s(
          db,
          "INSERT INTO campaign(name, mode, revision, config, seed, scenario, golden_events, golden_hash) "
          "VALUES(?,?,?,?,?,?,?,?)");
      s.bind(1, c.name)
          .bind(2, c.mode)
          .bind(3, c.revision)
          .bind(4, c.config)
          .bind(5, c.seed)
          .bind(6, c.scenario);
      s.bind(7, c.golden_events).bind(8, fmt::format("{:016x}", c.golden_hash)).step();
    }
    statement id(db, "SELECT id FROM campaign");
    id.step();
    campaign = id.number(0);
    insert = std::make_unique<statement>(db, "INSERT OR IGNORE INTO injection VALUES(?,?,?,?)");
    insert_result = std::make_unique<statement>(db, "INSERT OR IGNORE INTO result VALUES(?,?,?,?,?,?,?,?,?)");
    db.run("BEGIN");
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
  statement s(impl_->db, "SELECT k, j FROM injection JOIN result ON result.injection = injection.id");
  while (s.step()) all.emplace(s.number(0), s.number(1));
  return all;
}

void result_store::add(const injection_result& r) {
  const std::string id = injection_id(impl_->identity, r.k, r.j);
  impl_->insert->again();
  impl_->insert->bind(1, id).bind(2, impl_->campaign).bind(3, r.k).bind(4, r.j).step();
  statement& s = *impl_->insert_result;
  s.again();
  s.bind(1, id)
      .bind(2, code(r.what))
      .bind(3, r.allowed)
      .bind(4, r.to_end)
      .bind(5, r.rest_equal)
      .bind(6, r.recovered_ps);
  s.bind(7, r.end_event).bind(8, std::uint64_t{r.wall_us}).bind(9, r.why).step();
}

void result_store::commit() {
  impl_->db.run("COMMIT; BEGIN");
}

std::map<std::string, std::uint64_t> result_store::outcomes() const {
  std::map<std::string, std::uint64_t> all;
  statement s(impl_->db, "SELECT outcome, count(*) FROM result GROUP BY outcome");
  while (s.step()) all[s.text(0)] = s.number(1);
  return all;
}

std::uint64_t result_store::not_allowed() const {
  statement s(impl_->db, "SELECT count(*) FROM result WHERE allowed = 0 AND outcome != 'N2'");
  s.step();
  return s.number(0);
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
      if (version_of(other) != schema_version)
        throw std::runtime_error(f + ": not a result database of this version");
      statement theirs(other, "SELECT config, revision FROM campaign");
      while (theirs.step()) {
        statement ours(d, "SELECT config, revision FROM campaign");
        while (ours.step())
          if (ours.text(0) != theirs.text(0) || ours.text(1) != theirs.text(1))
            throw std::runtime_error(f + ": holds another campaign or revision than " + to);
      }
    }
    statement attach(d, "ATTACH ? AS other");
    attach.bind(1, f).step();
    const auto count = [&] {
      statement s(d, "SELECT count(*) FROM result");
      s.step();
      return s.number(0);
    };
    const std::uint64_t before = count();
    d.run(
        "BEGIN; INSERT OR IGNORE INTO campaign SELECT * FROM other.campaign;"
        "INSERT OR IGNORE INTO injection SELECT id, (SELECT id FROM campaign), k, j FROM other.injection;"
        "INSERT OR IGNORE INTO result SELECT * FROM other.result; COMMIT");
    fresh += count() - before;
    d.run("DETACH other");
  }
  return fresh;
}

stored_injection find_injection(const std::string& path, const std::string& id) {
  if (!std::filesystem::exists(path)) throw std::runtime_error(path + ": no such file");
  const database d(path);
  if (version_of(d) != schema_version)
    throw std::runtime_error(path + ": not a result database of this version");
  statement s(d,
              "SELECT c.scenario, c.name, c.mode, i.k, i.j, r.outcome, r.why, c.revision FROM injection i "
              "JOIN campaign c ON c.id = i.campaign JOIN result r ON r.injection = i.id WHERE i.id = ?");
  s.bind(1, id);
  if (!s.step()) throw std::runtime_error(path + ": no injection " + id);
  return {s.text(0), s.text(1), s.text(2), s.number(3), s.number(4), s.text(5), s.text(6), s.text(7)};
}

}  // namespace understudy::tb
