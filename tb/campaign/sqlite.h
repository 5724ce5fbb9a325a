// SQLite handles that close themselves and turn every failure into a std::runtime_error with the path.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace understudy::tb {

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
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }
  // A disk that refuses to take more says so; what was committed before stays.
  [[noreturn]] void fail() const {
    const int rc = sqlite3_errcode(db_);
    const bool disk = rc == SQLITE_FULL || rc == SQLITE_IOERR;
    throw std::runtime_error(path_ + ": " + sqlite3_errmsg(db_) +
                             (disk ? "; make room and run the same command again to go on" : ""));
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
    if (sqlite3_prepare_v2(d.get(), sql.c_str(), -1, &s_, nullptr) != SQLITE_OK) d.fail();
  }
  ~statement() { sqlite3_finalize(s_); }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  // The next parameter, from the first. An empty optional is NULL.
  statement& bind(const std::string& v) {
    sqlite3_bind_text(s_, ++bound_, v.c_str(), -1, SQLITE_TRANSIENT);
    return *this;
  }
  statement& bind(std::uint64_t v) {
    sqlite3_bind_int64(s_, ++bound_, static_cast<sqlite3_int64>(v));
    return *this;
  }
  statement& bind(double v) {
    sqlite3_bind_double(s_, ++bound_, v);
    return *this;
  }
  statement& bind(const std::optional<std::uint64_t>& v) {
    if (v) return bind(*v);
    sqlite3_bind_null(s_, ++bound_);
    return *this;
  }
  // True while there is a row.
  bool step() {
    const int rc = sqlite3_step(s_);
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) db_.fail();
    return false;
  }
  // Back to the start, nothing bound.
  statement& again() {
    sqlite3_reset(s_);
    sqlite3_clear_bindings(s_);
    bound_ = 0;
    return *this;
  }
  std::string text(int column) const {
    const auto* t = sqlite3_column_text(s_, column);
    return t ? reinterpret_cast<const char*>(t) : "";
  }
  std::uint64_t number(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(s_, column));
  }

 private:
  const database& db_;
  sqlite3_stmt* s_ = nullptr;
  int bound_ = 0;
};

}  // namespace understudy::tb
