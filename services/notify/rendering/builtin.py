"""The texts for programs that wrote none, or not all.

Russian ones avoid verbs and adjectives that would have to agree with an amount, and the gender of the buyer.
"""

from services.notify.domain.cause import Kind
from services.notify.domain.texts import LocaleTexts, ProgramTexts, TextTemplate

_A_FRIEND = "{% if buyer_name %}your friend {{ buyer_name }}{% else %}a friend{% endif %}"
_OF_A_FRIEND = "{% if buyer_name %}участника {{ buyer_name }}{% else %}друга{% endif %}"

_EN = LocaleTexts(
    "en",
    (
        TextTemplate(
            Kind.EARNED,
            "You earned {{ amount }}",
            "{% if own %}Thank you! Your {{ event }} in {{ program }} brings you {{ amount }}."
            "{% elif level == 1 %}A new {{ event }} by " + _A_FRIEND + " in {{ program }}: you earn {{ amount }}."
            "{% else %}A new {{ event }} by {{ buyer }}, level {{ level }} of your network, in {{ program }}: you earn"
            " {{ amount }}.{% endif %}"
            "{% if held %} On hold{% if hold_until %} until {{ hold_until }}{% endif %}: {{ held }}.{% endif %}",
        ),
        TextTemplate(
            Kind.HELD,
            "On the way to you: {{ amount }}",
            "{% if own %}Thank you! Your {{ event }} in {{ program }} brings you {{ amount }}."
            "{% elif level == 1 %}A new {{ event }} by " + _A_FRIEND + " in {{ program }}: you earn {{ amount }}."
            "{% else %}A new {{ event }} by {{ buyer }}, level {{ level }} of your network, in {{ program }}: you earn"
            " {{ amount }}.{% endif %}"
            "{% if hold_until %} Available from {{ hold_until }}.{% else %} Available once it is confirmed.{% endif %}",
        ),
        TextTemplate(
            Kind.RELEASED,
            "Now available: {{ amount }}",
            "Good news: {{ amount }} for "
            "{% if own %}your own {{ event }}{% else %}the {{ event }} of {{ buyer }}{% endif %}"
            " in {{ program }} can be used from now on.",
        ),
        TextTemplate(
            Kind.REVERSED,
            "Taken back: {{ amount }}",
            "{% if own %}Your {{ event }}{% else %}The {{ event }} of {{ buyer }}{% endif %} in {{ program }} was"
            " cancelled or returned, so {{ amount }} had to be taken back.",
        ),
        TextTemplate(
            Kind.REJECTED,
            "Not granted: {{ amount }}",
            "{% if own %}Your {{ event }}{% else %}The {{ event }} of {{ buyer }}{% endif %} in {{ program }} was"
            " checked, and {{ amount }} for it will not be credited.{% if reason %} Reason: {{ reason }}{% endif %}",
        ),
        TextTemplate(
            Kind.EXPIRING,
            "Use by {{ hold_until }}: {{ amount }}",
            "In {{ program }}, {{ amount }} can be used until {{ hold_until }} and not after.",
        ),
        TextTemplate(
            Kind.PAYOUT_PAID,
            "Paid out: {{ amount }}",
            "Your payout of {{ amount }} from {{ program }} was sent to you.",
        ),
        TextTemplate(
            Kind.PAYOUT_FAILED,
            "A payout is delayed: {{ amount }}",
            "Your payout of {{ amount }} from {{ program }} did not go through. We are looking into it.",
        ),
        TextTemplate(
            Kind.PAYOUT_RETURNED,
            "A payout was not made: {{ amount }}",
            "Your payout from {{ program }} was not made, and {{ amount }} can be used again.",
        ),
        TextTemplate(
            Kind.PAYOUT_BOUNCED,
            "A payout came back: {{ amount }}",
            "Your payout from {{ program }} could not be delivered and came back. You can use {{ amount }} again;"
            " please check where the next payout should go.",
        ),
        TextTemplate(
            Kind.PRIZE_WON,
            "You won {{ amount }}",
            "Congratulations! Place {{ rank }} in the contest “{{ contest }}” of {{ program }} brings you"
            " {{ amount }}.",
        ),
    ),
)

_RU = LocaleTexts(
    "ru",
    (
        TextTemplate(
            Kind.EARNED,
            "Вам начислено: {{ amount }}",
            "{% if own %}Спасибо! За событие «{{ event }}» в программе {{ program }} вы получаете {{ amount }}."
            "{% elif level == 1 %}Хорошая новость от вашего друга{% if buyer_name %} ({{ buyer_name }}){% endif %}:"
            " {{ event }} в программе {{ program }}. Вы получаете {{ amount }}."
            "{% else %}Хорошая новость от " + _OF_A_FRIEND + " ({{ level }}-й уровень вашей сети): {{ event }}"
            " в программе {{ program }}. Вы получаете {{ amount }}.{% endif %}"
            "{% if held %}{% if hold_until %} До {{ hold_until }} в ожидании{% else %} В ожидании{% endif %}:"
            " {{ held }}.{% endif %}",
        ),
        TextTemplate(
            Kind.HELD,
            "Скоро у вас: {{ amount }}",
            "{% if own %}Спасибо! За событие «{{ event }}» в программе {{ program }} вы получаете {{ amount }}."
            "{% elif level == 1 %}Хорошая новость от вашего друга{% if buyer_name %} ({{ buyer_name }}){% endif %}:"
            " {{ event }} в программе {{ program }}. Вы получаете {{ amount }}."
            "{% else %}Хорошая новость от " + _OF_A_FRIEND + " ({{ level }}-й уровень вашей сети): {{ event }}"
            " в программе {{ program }}. Вы получаете {{ amount }}.{% endif %}"
            "{% if hold_until %} С {{ hold_until }} можно будет использовать.{% else %} Можно будет использовать"
            " после подтверждения.{% endif %}",
        ),
        TextTemplate(
            Kind.RELEASED,
            "Уже доступно: {{ amount }}",
            "Хорошая новость: {{ amount }} "
            "{% if own %}за ваше событие «{{ event }}»"
            "{% else %}за событие «{{ event }}» " + _OF_A_FRIEND + "{% endif %}"
            " в программе {{ program }} теперь можно использовать.",
        ),
        TextTemplate(
            Kind.REVERSED,
            "Списано: {{ amount }}",
            "Событие «{{ event }}» {% if not own %}" + _OF_A_FRIEND + " {% endif %}в программе {{ program }} отменено,"
            " поэтому пришлось списать {{ amount }}.",
        ),
        TextTemplate(
            Kind.REJECTED,
            "Отказано в начислении: {{ amount }}",
            "После проверки события «{{ event }}» {% if not own %}" + _OF_A_FRIEND + " {% endif %}в программе"
            " {{ program }} начисления не будет: {{ amount }}.{% if reason %} Причина: {{ reason }}{% endif %}",
        ),
        TextTemplate(
            Kind.EXPIRING,
            "Скоро сгорит: {{ amount }}",
            "В программе {{ program }} до {{ hold_until }} можно использовать {{ amount }}, потом будет поздно.",
        ),
        TextTemplate(
            Kind.PAYOUT_PAID,
            "Выплачено: {{ amount }}",
            "Выплата из программы {{ program }} отправлена вам: {{ amount }}.",
        ),
        TextTemplate(
            Kind.PAYOUT_FAILED,
            "Выплата задерживается: {{ amount }}",
            "Выплата из программы {{ program }} не прошла: {{ amount }}. Мы разбираемся.",
        ),
        TextTemplate(
            Kind.PAYOUT_RETURNED,
            "Выплата не состоялась: {{ amount }}",
            "Выплата из программы {{ program }} не состоялась, снова можно использовать {{ amount }}.",
        ),
        TextTemplate(
            Kind.PAYOUT_BOUNCED,
            "Выплата вернулась: {{ amount }}",
            "Выплата из программы {{ program }} не дошла и вернулась, снова можно использовать {{ amount }}."
            " Проверьте, куда отправить следующую.",
        ),
        TextTemplate(
            Kind.PRIZE_WON,
            "Ваш приз: {{ amount }}",
            "Поздравляем! Ваше место в конкурсе «{{ contest }}» программы {{ program }} — {{ rank }}-е, и за него вы"
            " получаете {{ amount }}.",
        ),
    ),
)

BUILT_IN = ProgramTexts(program_title="", default_locale="en", locales=(_EN, _RU))

FRIEND = {"en": "a friend", "ru": "друг"}
"""The words for a buyer whose name is not known, or not for this reader."""
YOU = {"en": "you", "ru": "вы"}
"""The words for a buyer without a name who is the reader."""

EVENT_NAMES: dict[str, dict[str, str]] = {
    "en": {"order": "purchase", "sign_up": "registration"},
    "ru": {
        "order": "покупка",
        "sign_up": "регистрация",
        "lead": "заявка",
        "deposit": "депозит",
        "renewal": "продление",
        "review": "отзыв",
    },
}
"""The names of events in texts; any other event is called by its own name, with spaces for underscores."""
