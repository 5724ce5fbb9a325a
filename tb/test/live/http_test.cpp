// The HTTP server behind the adapter, asked as curl does not ask.
#include <arpa/inet.h>
#include <sys/resource.h>

#include "tb/test/live/live_rig.h"

namespace understudy::tb {
namespace {

class live_http : public live_slirp {
 protected:
  void SetUp() override {
    live_slirp::SetUp();
    make_file("a.bin", 1'000);
    make_file("b.bin", 200'000);  // begins as the other does
    ::signal(SIGXFSZ, SIG_IGN);   // the program inherits it: beyond RLIMIT_FSIZE write() fails
    start();
  }
  // Everything that comes back to `text` until the server closes, or for two seconds if it does not. With
  // `byte_by_byte` each byte is a write of its own.
  std::string say(const std::string& text, bool byte_by_byte = false) {
    const int fd = dial();
    put(fd, text, byte_by_byte);
    return hear(fd);
  }
  static void put(int fd, const std::string& text, bool byte_by_byte = false) {
    for (std::size_t at = 0; at < text.size();) {
      const auto n = ::send(fd, text.data() + at, byte_by_byte ? 1 : text.size() - at, MSG_NOSIGNAL);
      if (n <= 0) break;  // refused before it was all said
      at += static_cast<std::size_t>(n);
    }
  }
  // What comes next, at most two seconds; empty: nothing did.
  static std::string hear_next(int fd) {
    char part[4096];
    const ssize_t n = ::recv(fd, part, sizeof part, 0);
    return n > 0 ? std::string(part, static_cast<std::size_t>(n)) : "";
  }
  static std::string hear(int fd) {
    std::string all;
    char part[4096];
    for (ssize_t n; (n = ::recv(fd, part, sizeof part, 0)) > 0;)
      all.append(part, static_cast<std::size_t>(n));
    ::close(fd);
    return all;
  }
  static std::string status_of(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }
  static std::string body_of(const std::string& answer) {
    const auto at = answer.find("\r\n\r\n");
    return at == answer.npos ? "no header" : answer.substr(at + 4);
  }
  // How often `what` is in `text`.
  static std::size_t times(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++n;
    return n;
  }
  static std::string request(const std::string& line, const std::string& fields = {}) {
    return line + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  }
  static constexpr const char* last = "Connection: close\r\n";
};

TEST_F(live_http, head_is_the_header_of_get_without_its_body) {
  const std::string got = say(request("GET /a.bin", last)), head = say(request("HEAD /a.bin", last));
  EXPECT_EQ(status_of(head), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(head), "");
  EXPECT_EQ(head, got.substr(0, head.size()));
  EXPECT_EQ(body_of(got), text_of(folder / "www/a.bin"));
  const std::string none = say(request("HEAD /none", last));
  EXPECT_EQ(status_of(none), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(body_of(none), "");
  const std::string list = say(request("HEAD /", last));
  EXPECT_EQ(status_of(list), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(list), "");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_requests"], 4);
  EXPECT_EQ(result["live"]["http_errors"], 1);
}

TEST_F(live_http, a_range_beyond_the_file_is_416_with_its_size) {
  for (const char* range : {"bytes=1000-", "bytes=5000-6000", "bytes=-0"}) {
    const std::string r = say(request("GET /a.bin", std::string("Range: ") + range + "\r\n" + last));
    EXPECT_EQ(status_of(r), "HTTP/1.1 416 Range Not Satisfiable") << range;
    EXPECT_NE(r.find("Content-Range: bytes */1000\r\n"), std::string::npos) << r;
    EXPECT_EQ(body_of(r), "") << range;
  }
  EXPECT_EQ(status_of(say(request("GET /a.bin", std::string("Range: bytes=999-2000\r\n") + last))),
            "HTTP/1.1 206 Partial Content");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 3);
}

TEST_F(live_http, requests_in_one_write_are_answered_in_order) {
  const std::string a = text_of(folder / "www/a.bin"), b = text_of(folder / "www/b.bin");
  const std::string all = request("GET /b.bin") + request("HEAD /a.bin") + request("GET /none") +
                          request("POST /x", "Content-Length: 5\r\n") + "hello" +
                          request("GET /a.bin", last) +
                          request("GET /b.bin");  // behind the last one: nobody answers
  for (const bool byte_by_byte : {false, true}) {
    const std::string r = say(all, byte_by_byte);
    EXPECT_EQ(times(r, "HTTP/1.1 "), 5u);
    const std::size_t first = r.find(b), head = r.find("Content-Length: 1000"),
                      none = r.find("404 Not Found"), post = r.find("5 bytes\n"), end = r.rfind(a);
    EXPECT_LT(first, head);
    EXPECT_LT(head, none);
    EXPECT_LT(none, post);
    EXPECT_LT(post, end);
    EXPECT_EQ(end + a.size(), r.size());
  }
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_requests"], 2 * 5);
}

TEST_F(live_http, two_uploads_to_one_path_do_not_mix) {
  const auto in_root = [this] {
    const std::filesystem::directory_iterator all(folder / "www");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  };
  const auto within = [](const auto& condition) {
    for (unsigned i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(10ms);
    return condition();
  };
  const std::string b = text_of(folder / "www/b.bin"), other(100'000, 'x');
  const auto head = [](const std::string& body) {
    return request("PUT /copy", "Content-Length: " + std::to_string(body.size()) + "\r\n" + last);
  };
  const int first = dial(), second = dial(), third = dial();
  put(first, head(b) + b.substr(0, 150'000));
  EXPECT_TRUE(within([&] { return in_root() == 3; }));
  put(second, head(other) + other.substr(0, 50'000));
  put(third, head(other) + other.substr(0, 50'000));
  EXPECT_TRUE(within([&] { return in_root() == 5; })) << "each has a file of its own";
  EXPECT_EQ(body_of(say(request("GET /", last))).find("put-"), std::string::npos) << "nobody is shown it";
  put(first, b.substr(150'000));
  EXPECT_EQ(status_of(hear(first)), "HTTP/1.1 201 Created");
  EXPECT_TRUE(same("www/copy", "www/b.bin"));
  const auto rights = std::filesystem::status(folder / "www/copy").permissions();
  EXPECT_EQ(rights, std::filesystem::status(folder / "www/b.bin").permissions());
  ::close(third);
  EXPECT_TRUE(within([&] { return in_root() == 4; })) << "what was broken off leaves nothing";
  put(second, other.substr(50'000));
  EXPECT_EQ(status_of(hear(second)), "HTTP/1.1 201 Created");
  EXPECT_EQ(text_of(folder / "www/copy"), other) << "the later one";
  EXPECT_EQ(in_root(), 3u);
  EXPECT_EQ(stop(), 0) << said();
}

// RFC 9110 10.1.1.
TEST_F(live_http, a_client_that_expects_to_be_told_is_told_before_its_body_is_read) {
  for (const char* word : {"100-continue", "100-Continue"}) {
    const int fd = dial();
    put(fd, request("PUT /copy", std::string("Content-Length: 5\r\nExpect: ") + word + "\r\n" + last));
    EXPECT_EQ(hear_next(fd), "HTTP/1.1 100 Continue\r\n\r\n") << word;
    put(fd, "hello");
    EXPECT_EQ(status_of(hear(fd)), "HTTP/1.1 201 Created") << word;
    EXPECT_EQ(text_of(folder / "www/copy"), "hello");
  }
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 0);
}

TEST_F(live_http, who_expects_nothing_or_sends_no_body_is_not_told_to_go_on) {
  const std::string length = "Content-Length: 5\r\n", expect = "Expect: 100-continue\r\n";
  const std::string none = say(request("GET /a.bin", expect + last));
  EXPECT_EQ(status_of(none), "HTTP/1.1 200 OK");
  const int fd = dial();
  put(fd, "PUT /copy HTTP/1.0\r\n" + length + expect + "\r\n");
  const int silent = dial();
  put(silent, request("PUT /copy2", length + last));
  std::this_thread::sleep_for(200ms);
  put(fd, "hello");
  put(silent, "hello");
  EXPECT_EQ(status_of(hear(fd)), "HTTP/1.1 201 Created") << "HTTP/1.0 knows no 100";
  EXPECT_EQ(status_of(hear(silent)), "HTTP/1.1 201 Created");
  EXPECT_EQ(stop(), 0) << said();
}

TEST_F(live_http, what_is_expected_and_unknown_is_417_without_a_word_of_the_body) {
  for (const char* fields : {"Expect: 200-ok\r\n", "Expect: 100-continue, 200-ok\r\n",
                             "Expect: 100-continue\r\nExpect: 200-ok\r\n"}) {
    const std::string r =
        say(request("PUT /copy", std::string("Content-Length: 5\r\n") + fields));  // waits for a word
    EXPECT_EQ(status_of(r), "HTTP/1.1 417 Expectation Failed") << fields;
    EXPECT_NE(r.find("Connection: close\r\n"), std::string::npos) << r;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "www/copy"));
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 3);
}

// A client that waits for an answer which it expects waits a second in vain, if it gets none.
TEST_F(live_http, curl_need_not_wait_to_upload_what_is_large) {
  make_file("large", (3 << 20) + 7);
  const auto r = shell("curl -v -m 30 -o /dev/null --expect100-timeout 20 -H 'Expect: 100-continue' -T " +
                       in_folder("www/large") + " " + base() + "copy -w 'took %{time_total}\n'");
  EXPECT_NE(r.output.find("> Expect: 100-continue"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("< HTTP/1.1 100 Continue"), std::string::npos) << r.output;
  EXPECT_NE(r.output.find("< HTTP/1.1 201 Created"), std::string::npos) << r.output;
  EXPECT_LT(std::stod(r.output.substr(r.output.find("took ") + 5)), 15.0);
  EXPECT_EQ(stop(), 0) << said();
}

// Bodies are read and written in pieces of 64 KiB.
TEST_F(live_http, an_upload_of_many_pieces_and_a_bit_is_stored_whole) {
  const std::string sum_of = "sha256sum < " + in_folder("www/");
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{65'536}, std::size_t{(3 << 20) + 7}}) {
    make_file("large", bytes);
    for (const std::string& how :
         {"-T " + in_folder("www/large"),
          "-X PUT -H 'Transfer-Encoding: chunked' -T - < " + in_folder("www/large")}) {
      std::filesystem::remove(folder / "www/copy");
      EXPECT_EQ(shell("curl -sS -m 30 -o /dev/null -w '%{http_code}' " + base() + "copy " + how).output,
                "201")
          << bytes << how;
      EXPECT_EQ(shell(sum_of + "copy").output, shell(sum_of + "large").output) << bytes << how;
      EXPECT_EQ(std::filesystem::file_size(folder / "www/copy"), bytes) << how;
    }
  }
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 0);
}

TEST_F(live_http, an_upload_to_where_nothing_can_be_put_says_why) {
  std::filesystem::create_directories(folder / "www/sub");
  std::filesystem::create_symlink("/sys/kernel", folder / "www/system");  // where root, too, makes no file
  const auto put_to = [this](const std::string& path) {
    return shell("curl -sS -m 30 -o /dev/null -w '%{http_code}' -T " + in_folder("www/b.bin") + " " + base() +
                 path)
        .output;
  };
  EXPECT_EQ(put_to("none/copy"), "409") << "no such folder";
  EXPECT_EQ(put_to("a.bin/copy"), "409") << "no folder";
  EXPECT_EQ(put_to("sub"), "409") << "is a folder";
  EXPECT_EQ(put_to("system/copy"), "403");
  EXPECT_EQ(put_to("sub/copy"), "201");
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 4);
}

// As on a full disk: a file may not grow beyond a limit, and write() says so.
TEST_F(live_http, an_upload_that_finds_no_room_is_507_and_leaves_nothing) {
  make_file("large", (3 << 20) + 7);
  const rlimit megabyte{1 << 20, RLIM_INFINITY};
  ASSERT_EQ(prlimit(program, RLIMIT_FSIZE, &megabyte, nullptr), 0) << std::strerror(errno);
  const auto upload = [this] {
    return shell("curl -sS -m 30 -o /dev/null -w '%{http_code}' -T " + in_folder("www/large") + " " + base() +
                 "copy");
  };
  EXPECT_EQ(upload().output.substr(0, 3), "507");
  EXPECT_FALSE(std::filesystem::exists(folder / "www/copy"));
  for (const auto& entry : std::filesystem::directory_iterator(folder / "www"))
    EXPECT_EQ(entry.path().filename().string().find(".put-"), std::string::npos) << entry.path();
  EXPECT_EQ(status_of(say(request("GET /a.bin", last))), "HTTP/1.1 200 OK") << "it serves";
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(prlimit(program, RLIMIT_FSIZE, &none, nullptr), 0);
  EXPECT_EQ(upload().output, "201");
  EXPECT_TRUE(same("www/large", "www/copy"));
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], 1);
}

TEST_F(live_http, garbage_is_refused_once_and_the_connection_closed) {
  std::string noise;
  for (unsigned i = 0; i < 3000; ++i) noise += static_cast<char>(1 + i * 7919 % 255);
  const std::string tls("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  const std::vector<std::string> all{"GARBAGE\r\n\r\n",
                                     "GET\r\n\r\n",
                                     "GET /a.bin\r\n\r\n",
                                     "GET /a.bin HTTP/9.9\r\n\r\n",
                                     "GET /a.bin FTP/1.1\r\n\r\n",
                                     "G\x01T /a.bin HTTP/1.1\r\n\r\n",
                                     "GET /a.bin HTTP/1.1\r\nno colon\r\n\r\n",
                                     "GET /a.bin HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                     "POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                                     "GET ../../etc/passwd HTTP/1.1\r\nConnection: close\r\n\r\n",
                                     tls + "\r\n\r\n",
                                     noise + "\r\n\r\n"};
  for (const std::string& g : all) {
    const std::string r = say(g);
    EXPECT_EQ(status_of(r), "HTTP/1.1 400 Bad Request") << g;
    EXPECT_EQ(times(r, "HTTP/1.1 "), 1u) << g;
    EXPECT_NE(r.find("Connection: close\r\n"), std::string::npos) << g;
  }
  const std::string behind = say(request("GET /a.bin") + "GARBAGE\r\n\r\n" + request("GET /a.bin"));
  EXPECT_EQ(times(behind, "200 OK"), 1u);
  EXPECT_EQ(times(behind, "400 Bad Request"), 1u);
  const std::string much = say("GET /a.bin HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(status_of(much), "HTTP/1.1 431 Request Header Fields Too Large");
  const std::string other = say(request("BREW /a.bin", last));
  EXPECT_EQ(status_of(other), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_NE(other.find("Allow: GET, HEAD, PUT, POST\r\n"), std::string::npos) << other;
  EXPECT_EQ(status_of(say(request("GET /a.bin", last))), "HTTP/1.1 200 OK") << "it serves";
  EXPECT_EQ(stop(), 0) << said();
  EXPECT_EQ(result["live"]["http_errors"], all.size() + 3);
}

}  // namespace
}  // namespace understudy::tb
