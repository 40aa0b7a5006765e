#include "server/http/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

#include "tests/http/sending.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;
using testing::ElementsAre;
using testing::SizeIs;

asio::ip::tcp::endpoint Address(const char* text, uint16_t port = 443) { return {asio::ip::make_address(text), port}; }

// Answers when the test says so.
class HeldNames final : public NameService {
 public:
  struct Asked {
    std::string host;
    absl::AnyInvocable<void(FoundAddresses)> done;
  };
  void LookUp(std::string host, std::string, absl::AnyInvocable<void(FoundAddresses)> done) override {
    asked.push_back({std::move(host), std::move(done)});
  }
  void Answer(size_t i, FoundAddresses found) { asked.at(i).done(std::move(found)); }

  std::vector<Asked> asked;
};

class ResolverTest : public testing::Test {
 protected:
  struct Resolved {
    bool done = false;
    StatusOr<Resolver::Addresses> addresses = absl::UnknownError("not yet");
  };
  ~ResolverTest() override { loop_.Abandon(); }

  std::shared_ptr<Resolved> Begin(const std::string& host, Duration limit = 5s) {
    auto resolved = std::make_shared<Resolved>();
    loop_.Spawn(Resolve(resolver_, loop_, *ParseHttpUrl("https://" + host + "/"), limit, resolved));
    loop_.RunReady();
    return resolved;
  }
  void Pass(Duration duration) {
    const TimePoint end = clock_.Now() + duration;
    bool is_over = false;
    const Loop::Timer timer = loop_.CallAt(end, [&] { is_over = true; });
    loop_.RunUntil([&] { return is_over; }, end);
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  HeldNames names_;
  Resolver resolver_{loop_, names_};

 private:
  static Task<void> Resolve(Resolver& resolver, Loop& loop, HttpUrl url, Duration limit,
                            std::shared_ptr<Resolved> resolved) {
    const HttpLimits limits;
    RequestInFlight attempt(loop, limits);
    attempt.Limit(limit, "the connection took too long");
    resolved->addresses = co_await resolver.Resolve(url, attempt);
    resolved->done = true;
  }
};

TEST_F(ResolverTest, RequestsForOneHostShareItsLookUpAndOthersDoNotWaitForIt) {
  const auto first = Begin("a.test");
  const auto second = Begin("a.test");
  const auto other = Begin("b.test");
  ASSERT_THAT(names_.asked, SizeIs(2));
  names_.Answer(1, {.error = {}, .addresses = {Address("10.0.0.2")}});
  loop_.RunReady();
  EXPECT_TRUE(other->done);
  EXPECT_FALSE(first->done);
  names_.Answer(0, {.error = {}, .addresses = {Address("10.0.0.1"), Address("::1")}});
  loop_.RunReady();
  EXPECT_THAT(*first->addresses, ElementsAre(Address("10.0.0.1"), Address("::1")));
  EXPECT_EQ(*second->addresses, *first->addresses);
}

TEST_F(ResolverTest, ANameThatMovesIsFollowed) {
  for (const char* address : {"10.0.0.1", "10.0.0.2"}) {
    const auto resolved = Begin("a.test");
    names_.Answer(names_.asked.size() - 1, {.error = {}, .addresses = {Address(address)}});
    loop_.RunReady();
    EXPECT_THAT(*resolved->addresses, ElementsAre(Address(address)));
  }
}

TEST_F(ResolverTest, TheLastAddressesAreUsedIfTheNameServerHangsOrFails) {
  Begin("a.test");
  names_.Answer(0, {.error = {}, .addresses = {Address("10.0.0.1")}});
  loop_.RunReady();
  const auto hanging = Begin("a.test");
  Pass(1700ms);
  EXPECT_FALSE(hanging->done);
  Pass(200ms);
  ASSERT_TRUE(hanging->done);
  EXPECT_THAT(*hanging->addresses, ElementsAre(Address("10.0.0.1")));
  EXPECT_TRUE(Begin("a.test")->done) << "it is known to hang";
  EXPECT_THAT(names_.asked, SizeIs(2)) << "one look-up at once";
  names_.Answer(1, {.error = asio::error::host_not_found_try_again});
  const auto failing = Begin("a.test");
  names_.Answer(2, {.error = asio::error::host_not_found_try_again});
  loop_.RunReady();
  EXPECT_THAT(*failing->addresses, ElementsAre(Address("10.0.0.1")));
  Pass(1h);
  const auto late = Begin("a.test");
  names_.Answer(3, {.error = asio::error::host_not_found_try_again});
  loop_.RunReady();
  EXPECT_TRUE(absl::IsUnavailable(late->addresses.status()));
}

TEST_F(ResolverTest, ANameThatDoesNotExistAnyMoreIsForgotten) {
  Begin("a.test");
  names_.Answer(0, {.error = {}, .addresses = {Address("10.0.0.1")}});
  const auto gone = Begin("a.test");
  names_.Answer(1, {.error = asio::error::host_not_found});
  loop_.RunReady();
  EXPECT_TRUE(absl::IsNotFound(gone->addresses.status()));
}

TEST_F(ResolverTest, ARequestEndsBeforeItsLookUp) {
  const auto resolved = Begin("a.test", 1s);
  Pass(2s);
  ASSERT_TRUE(resolved->done);
  EXPECT_FALSE(resolved->addresses.ok());
  names_.Answer(0, {.error = {}, .addresses = {Address("10.0.0.1")}});
}

TEST_F(ResolverTest, AnAddressIsNotLookedUp) {
  EXPECT_THAT(*Begin("10.0.0.1")->addresses, ElementsAre(Address("10.0.0.1")));
  EXPECT_THAT(names_.asked, SizeIs(0));
}

TEST(NameServiceTest, AHostWhoseNameServerHangsStopsNoOther) {
  ToxicServer server([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  });
  std::promise<void> release;
  const auto hanging = std::make_shared<std::atomic<int>>(0);
  const BlockingLookUp look_up = [hanging, released = release.get_future().share()](const std::string& host,
                                                                                    const std::string& port) {
    if (host != "well.test") {
      ++*hanging;
      released.wait();
      return FoundAddresses{.error = asio::error::host_not_found_try_again, .addresses = {}};
    }
    return FoundAddresses{.error = {}, .addresses = {Address("127.0.0.1", static_cast<uint16_t>(std::stoi(port)))}};
  };
  {
    Sender sender({}, look_up);
    HttpLimits limits;
    limits.connect = 1ms;
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(sender.Send("https://slow.test/", "{}", limits).outcome, HttpOutcome::kNotSent);
    const Sent sent = sender.Send("http://well.test:" + std::to_string(server.port()) + "/");
    EXPECT_EQ(sent.body, "hi") << sent.error;
  }  // nothing waits for the look-up that hangs
  EXPECT_LE(*hanging, 1) << "one look-up of a host at once";
  release.set_value();
}

TEST(NameServiceTest, TheSystemKnowsItselfAndNotWhatDoesNotExist) {
  const FoundAddresses found = LookUpBySystem("localhost", "80");
  EXPECT_FALSE(found.error) << found.error.message();
  ASSERT_FALSE(found.addresses.empty());
  EXPECT_TRUE(found.addresses.front().address().is_loopback());
  EXPECT_EQ(found.addresses.front().port(), 80);
  EXPECT_TRUE(LookUpBySystem("nowhere.invalid", "80").error);
}

}  // namespace
}  // namespace millrace
