package example;

import build.buf.protovalidate.Validator;
import build.buf.protovalidate.ValidatorFactory;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import upline.attribution.v1.ConversionDraft;
import upline.attribution.v1.ConversionServiceGrpc;
import upline.attribution.v1.EnrollParticipantRequest;
import upline.attribution.v1.ParticipantDraft;
import upline.attribution.v1.ParticipantServiceGrpc;
import upline.attribution.v1.RecordConversionRequest;
import upline.rewards.v1.Balance;
import upline.rewards.v1.GetWalletRequest;
import upline.rewards.v1.WalletServiceGrpc;
import upline.type.v1.Money;

/** Enrols two people, records an order of the second, and checks what each has in the wallet. */
public final class Client {
  private static final String PROGRAM = "uds";
  private static final int CALL_SECONDS = 10; // the services refuse a call without a deadline
  private static final int PAID_WITHIN_SECONDS = 30;

  private final Validator rules = ValidatorFactory.newBuilder().build();
  private final ManagedChannel attribution = connect("UPLINE_ATTRIBUTION_ADDR", "127.0.0.1:7101");
  private final ManagedChannel rewards = connect("UPLINE_REWARDS_ADDR", "127.0.0.1:7102");

  public static void main(String[] arguments) throws Exception {
    Client client = new Client();
    try {
      client.run();
    } finally {
      client.attribution.shutdownNow();
      client.rewards.shutdownNow();
    }
    System.out.println("as it should be");
  }

  private void run() throws Exception {
    String suffix = UUID.randomUUID().toString().substring(0, 8); // so that every run enrols new people
    String ann = "ann-" + suffix;
    String ben = "ben-" + suffix;
    enrol(ann, "");
    enrol(ben, ann);
    order("order-" + suffix, ben, ann);
    holds(ben, 12_500, 0); // 5 % of 2,500.00 at once, in hundredths of a point
    holds(ann, 0, 7_500); // 3 %, held until the goods cannot be returned any more
  }

  private void enrol(String name, String sponsor) {
    EnrollParticipantRequest request =
        EnrollParticipantRequest.newBuilder()
            .setRequestId("enrol-" + name)
            .setProgramId(PROGRAM)
            .setParticipant(ParticipantDraft.newBuilder().setParticipantId(name).setSponsorId(sponsor))
            .build();
    twice(
        request,
        each -> ParticipantServiceGrpc.newBlockingStub(attribution)
            .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
            .enrollParticipant(each));
    System.out.printf("%s, invited by \"%s\"%n", name, sponsor);
  }

  /** Records an order of 2,500.00 roubles, after one that is refused because nobody is said to have bought. */
  private void order(String id, String buyer, String referrer) throws Exception {
    ConversionDraft draft =
        ConversionDraft.newBuilder()
            .setConversionId(id)
            .setEventType("order")
            .setBuyerId(buyer)
            .setAmount(Money.newBuilder().setCurrencyCode("RUB").setAmountMinor(250_000))
            .build();
    RecordConversionRequest request =
        RecordConversionRequest.newBuilder().setProgramId(PROGRAM).setConversion(draft).build();
    Function<RecordConversionRequest, upline.attribution.v1.RecordConversionResponse> record =
        each -> ConversionServiceGrpc.newBlockingStub(attribution)
            .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
            .recordConversion(each);

    RecordConversionRequest spoilt =
        request.toBuilder().setConversion(draft.toBuilder().clearBuyerId()).build();
    int found = rules.validate(spoilt).getViolations().size();
    List<String> told = List.of();
    try {
      record.apply(spoilt);
    } catch (StatusRuntimeException refused) {
      require(refused.getStatus().getCode() == Status.Code.INVALID_ARGUMENT, refused);
      told = fieldsTold(refused);
      System.out.println("refused, as it should be: " + refused.getStatus().getDescription());
    }
    require(found == 1 && told.equals(List.of("conversion.buyer_id")), found + " found here, told: " + told);

    require(rules.validate(request).isSuccess(), request);
    String credited = twice(request, record).getConversion().getAttribution().getReferrerId();
    require(credited.equals(referrer), "credited to " + credited);
    System.out.printf("%s of %s: credited to %s%n", id, buyer, credited);
  }

  /** Sends a request two times: the second changes nothing and gives the same answer. */
  private static <Request, Response> Response twice(Request request, Function<Request, Response> method) {
    Response first = method.apply(request);
    Response again = method.apply(request);
    require(first.equals(again), "the second answer is another one: " + first + again);
    return first;
  }

  /** The fields that the error's google.rpc.BadRequest names. */
  private static List<String> fieldsTold(StatusRuntimeException refused) throws InvalidProtocolBufferException {
    for (Any detail : StatusProto.fromThrowable(refused).getDetailsList()) {
      if (detail.is(BadRequest.class)) {
        return detail.unpack(BadRequest.class).getFieldViolationsList().stream()
            .map(BadRequest.FieldViolation::getField)
            .toList();
      }
    }
    return List.of();
  }

  /** Waits until a wallet holds exactly that: rewards follow a recorded order within moments. */
  private void holds(String name, long available, long held) throws InterruptedException {
    GetWalletRequest request = GetWalletRequest.newBuilder().setProgramId(PROGRAM).setParticipantId(name).build();
    List<Balance> balances = List.of();
    for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PAID_WITHIN_SECONDS); System.nanoTime() < end; ) {
      balances = WalletServiceGrpc.newBlockingStub(rewards)
          .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
          .getWallet(request)
          .getBalancesList();
      for (Balance each : balances) {
        if (each.getAsset().equals("points") && each.getAvailableMinor() == available && each.getHeldMinor() == held) {
          System.out.printf("%s: %d points available, %d held, in hundredths%n", name, available, held);
          return;
        }
      }
      Thread.sleep(50);
    }
    require(false, name + " has " + balances + "; expected " + available + " available and " + held + " held");
  }

  private static ManagedChannel connect(String variable, String fallback) {
    return ManagedChannelBuilder.forTarget(System.getenv().getOrDefault(variable, fallback)).usePlaintext().build();
  }

  private static void require(boolean holds, Object what) {
    if (!holds) {
      throw new IllegalStateException(String.valueOf(what));
    }
  }
}
