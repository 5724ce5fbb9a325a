#include "tb/platform/host_streams.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "host_sw/sockets/sockets.h"
#include "tb/platform/host_machine.h"
#include "tb/platform/lent_memory.h"

namespace understudy::tb {

namespace {

class socket_stream : public stream {
 public:
  socket_stream(host::sockets& s, int fd, stream_user* user, const stream_memory& use)
      : sockets_(s), fd_(fd), user_(user), use_(use) {
    if (use.zero_copy_send || use.zero_copy_receive) lent_ = std::make_unique<lent_memory>(s, fd, use);
  }

  std::size_t write(std::span<const std::uint8_t> bytes) override {
    if (use_.zero_copy_send) return lent_->write(bytes);
    const auto n = sockets_.send(fd_, bytes.data(), bytes.size());
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  std::size_t read(std::span<std::uint8_t> room) override {
    if (use_.zero_copy_receive) return lent_->read(room);
    const auto n = sockets_.recv(fd_, room.data(), room.size());
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  void shutdown_write() override { sockets_.shutdown(fd_); }
  void abort() override { sockets_.abort(fd_); }

  // Tell the user what `events` say, in the order in which a connection lives.
  void tell(unsigned events) {
    if (done_) return;
    if (events & host::ev_connected && !open_) {
      open_ = true;
      if (lent_) lent_->open();
      user_->on_open();
    }
    if (events & host::ev_error) {
      done_ = true;
      if (lent_) lent_->close();
      int e = 0;
      sockets_.getsockopt(fd_, host::socket_option::error, &e);
      user_->on_error(e == ECONNRESET     ? "reset"
                      : e == ETIMEDOUT    ? "timed out"
                      : e == ECONNREFUSED ? "refused"
                      : e == ENETDOWN     ? "no adapter left"
                      : e == ENOBUFS      ? "no room in the adapter"
                                          : "error");
      return;
    }
    if (events & (host::ev_readable | host::ev_eof)) {
      user_->on_readable();
      if (!eof_ && sockets_.poll(fd_) & host::ev_eof) {
        std::uint8_t none;
        if (sockets_.recv(fd_, &none, 1) == 0) {
          eof_ = true;
          user_->on_eof();
        }
      }
    }
    if (events & host::ev_writable && (!use_.zero_copy_send || lent_->has_room_again())) user_->on_writable();
    if (events & host::ev_closed) {
      done_ = true;
      if (lent_) lent_->close();
      user_->on_closed();
    }
  }
  stream_user* user() const { return user_; }
  void set_user(stream_user* u) { user_ = u; }
  bool done() const { return done_; }

 private:
  host::sockets& sockets_;
  int fd_;
  stream_user* user_;
  stream_memory use_;
  std::unique_ptr<lent_memory> lent_;  // null: everything is copied
  bool open_ = false;
  bool eof_ = false;
  bool done_ = false;
};

class socket_streams : public host_streams {
 public:
  socket_streams(host_machine& machine, host::driver& d, const stream_memory& use)
      : machine_(machine), sockets_(d), use_(use) {
    sockets_.set_notifier(&socket_streams::notified, this);
  }
  int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) override {
    return listen_as(port, backlog, failover, false, std::move(accept));
  }
  int listen_speaking(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) override {
    return listen_as(port, backlog, failover, true, std::move(accept));
  }
  stream* connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port, bool failover,
                  stream_user& user) override;

 private:
  int listen_as(std::uint16_t port, unsigned backlog, bool failover, bool speaks_first, acceptor accept);
  static void notified(void* context, int fd, unsigned events);
  void dispatch();
  socket_stream& new_stream(int fd, stream_user* user);

  host_machine& machine_;
  host::sockets sockets_;
  stream_memory use_;
  std::vector<std::unique_ptr<socket_stream>> by_fd_;
  std::vector<acceptor> acceptors_;  // by fd
  std::vector<unsigned> pending_;    // events by fd
  std::vector<int> ready_;
  std::vector<int> delivering_;  // by the dispatch() that runs
  bool scheduled_ = false;
};

void socket_streams::notified(void* context, int fd, unsigned events) {
  auto& self = *static_cast<socket_streams*>(context);
  const auto i = static_cast<std::size_t>(fd);
  if (i >= self.pending_.size()) self.pending_.resize(i + 1);
  if (self.pending_[i] == 0) self.ready_.push_back(fd);
  self.pending_[i] |= events;
  if (self.scheduled_) return;
  self.scheduled_ = true;
  self.machine_.post([&self] { self.dispatch(); });
}

void socket_streams::dispatch() {
  scheduled_ = false;
  delivering_.swap(ready_);
  for (const int fd : delivering_) {
    const auto i = static_cast<std::size_t>(fd);
    const unsigned events = std::exchange(pending_[i], 0u);
    if (i < acceptors_.size() && acceptors_[i]) {
      host::socket_address peer;
      for (;;) {
        const int c = sockets_.accept(fd, &peer);
        if (c < 0) break;
        socket_stream& s = new_stream(c, nullptr);
        stream_user* user = acceptors_[i](s, peer.port);
        if (!user) {
          s.abort();
          continue;
        }
        s.set_user(user);
        s.tell(host::ev_connected | sockets_.poll(c));
      }
    } else if (i < by_fd_.size() && by_fd_[i]) {
      by_fd_[i]->tell(events);
      if (by_fd_[i]->done()) sockets_.close(fd);
    }
  }
  delivering_.clear();
}

socket_stream& socket_streams::new_stream(int fd, stream_user* user) {
  const auto i = static_cast<std::size_t>(fd);
  if (i >= by_fd_.size()) by_fd_.resize(i + 1);
  by_fd_[i] = std::make_unique<socket_stream>(sockets_, fd, user, use_);
  return *by_fd_[i];
}

int socket_streams::listen_as(std::uint16_t port, unsigned backlog, bool failover, bool speaks_first,
                              acceptor accept) {
  const int fd = sockets_.socket();
  if (fd < 0) return fd;
  sockets_.setsockopt(fd, host::socket_option::failover, failover);
  sockets_.setsockopt(fd, host::socket_option::direct_receive, use_.zero_copy_receive);
  sockets_.setsockopt(fd, host::socket_option::speaks_first, speaks_first);
  host::socket_address any;
  any.port = port;
  int e = sockets_.bind(fd, any);
  if (e == 0) e = sockets_.listen(fd, backlog);
  if (e != 0) return e;
  const auto i = static_cast<std::size_t>(fd);
  if (i >= acceptors_.size()) acceptors_.resize(i + 1);
  acceptors_[i] = std::move(accept);
  return 0;
}

stream* socket_streams::connect(const ip_address& peer, std::uint16_t port, std::uint16_t local_port,
                                bool failover, stream_user& user) {
  const int fd = sockets_.socket();
  if (fd < 0) return nullptr;
  sockets_.setsockopt(fd, host::socket_option::failover, failover);
  sockets_.setsockopt(fd, host::socket_option::direct_receive, use_.zero_copy_receive);
  host::socket_address a;
  a.port = local_port;
  if (sockets_.bind(fd, a) != 0) return nullptr;
  socket_stream& s = new_stream(fd, &user);
  std::copy(peer.bytes.begin(), peer.bytes.end(), a.ip);
  a.port = port;
  const int e = sockets_.connect(fd, a);
  return e == 0 || e == -EINPROGRESS ? &s : nullptr;
}

}  // namespace

std::unique_ptr<host_streams> make_socket_streams(host_machine& machine, host::driver& d,
                                                  const stream_memory& use) {
  return std::make_unique<socket_streams>(machine, d, use);
}

}  // namespace understudy::tb
