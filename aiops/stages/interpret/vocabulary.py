"""Everyday words and words of the trade, as plain lists: what names no service, and what is no slip of the keyboard."""

from __future__ import annotations


def words(listed: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(listed.split())


# Words that name no service by themselves, whatever a catalog says with a suffix ("user-service").
GENERIC = words("""
    user users customer customers client clients data web app apps api main core test file files job
    jobs task tasks event events service services system systems server servers message messages
    email mail log logs config account time monitor metric metrics alert alerts status admin
""")

# Ordinary words a typo correction must leave alone though a catalog name lies one slip away.
CONFUSABLE = words("""
    shopping shipped shipment shipments chart charts card cards care part parts cast car carts
    research searched searching reach teach order ordered orders older holders borders inventor
    invent inventive getaway recommend recommended recommends ledge leader leaders pledge author
    authors authored checked checking checks check chick notify notified notifying notion notation
    case cash catch caught user users used uses usher payer pays paid pay pavement redo reads ready
    radius kafkaesque broken broke broker brokers
""")

# Words of ordinary English in ops talk: never corrected into a name, and harmless inside a hyphenated word.
KNOWN_WORDS = words("""
    the a an and or of on in at to for from by with without is are was were be been being it its
    this that these those there here what which who whom whose why when where how i me my we us our
    you your he she they them their do does did done doing have has had having can could will would
    shall should may might must not no yes please pls plz thanks thank show list get give tell find
    figure look see check compare plot fetch pull want need know make let start started starting
    stop stopped since after before until till between during over under above below than more less
    most least last past next previous recent recently now today yesterday tomorrow tonight morning
    afternoon evening night noon midnight hour hours minute minutes min mins hr hrs second seconds
    sec secs day days week weeks month months fortnight year latency error errors rate rates request
    requests traffic throughput memory disk usage utilization space network connection connections
    cache hit miss ratio lag backlog consumer consumers producer garbage collection pause pauses
    restart restarts restarted count counts service services server system pod pods replica replicas
    instance instances node nodes cluster region zone namespace version release deploy deployed
    deployment rollback rolled revert scale scaled reboot bounce up down out back off high higher
    low lower slow slower fast spike spikes spiking spiked jump jumped drop dropped dropping
    increase increased increasing decrease decreased rising rise rose climb climbing crash crashed
    crashing crashes fail fails failed failing failure failures broken problem problems issue issues
    incident incidents outage alert alerts alarm cause causes caused causing root reason behind
    forecast predict expected anomaly anomalies anomalous abnormal normal unusual strange weird odd
    healthy fine okay report summary postmortem write draft json markdown plain text plaintext
    format output table yaml first third some any all every each other same again still just only
    also too very really so such like about around as well if then else while because whether per
    both either neither go going gone went goes come comes came take takes took taking keep keeps
    kept put puts say says said think thinks looks looking seem seems seemed feel feels run runs
    running ran work works working worked use uses used using add added adding change changed
    changing update updated team people customers customer users user client clients prod production
    staging stage stuck dead dying alive bad worse worst good better best new old big small large
    much many few lot lots bit little open opened closed current currently value values number
    numbers level levels average peak total data database query queries call calls response
    responses time times long short end ends begin began point points line lines log logs trace
    traces metric metrics graph chart dashboard page paged paging exceed exceeds exceeded reach
    reaches reached cross crosses crossed hits stays drops falls fell hold holds green red yellow
    black white right left wrong true false null none sure maybe perhaps probably hello hey guys
    folks anyone someone everybody nobody nothing anything something everything throw throwing threw
    thrown getting got gets blow blowing blew fire firing fired pegged maxed saturated full filling
    fill filled eat eating leak leaking hot cold quick quickly asap urgent important help
    investigate dig into onto everywhere somewhere worth price prices pricing search order orders
    cart checkout
""")

# What `spelling` mends towards.
TRADE_WORDS = words("""
    latency error errors memory throughput traffic forecast predict restart restarts rollback scale
    anomaly anomalies anomalous abnormal unusual strange weird normal healthy report summary
    summarize postmortem connection connections network bandwidth storage consumer backlog garbage
    response request requests failure failures failing percentile utilization crashing crashed
    crashloop timeout timeouts yesterday today tomorrow minutes minute hours hour days weeks week since
    between morning afternoon production staging compare current currently investigate diagnose
    troubleshoot reason cause causing caused what when where which show last past next from with
    high higher slow slower service pods replicas plain markdown degraded behind increase increased
    usage rate count please reboot revert
""")

# Words close to a trade word that are right as they stand.
NOT_TYPOS = words("""
    stalling stalled stall stalls says pays ways stays plays dads davs does shoe shoes shown shop shops shot slot slots slow slowly blow flow flows glow snow plow list lost
    lust cast mast fast vast past paste pasta post posts host hosts cost costs most must text test
    tests next nest best rest west exit form from frog prom room term them then than thin that what
    whit hat chat when wheat where there here were wear height weight light right sight night might
    hugh thigh show shows slower flower lower power tower serve serves served server word words
    worry work works wore tire tired fire fired hire hired rated rates rats raft race rate gate date
    late data mate fate cafe safe save wave gave have hive five dive live love move more core cores
    bore tore store stores story score scores scale scaled scales scare stale sale sales court
    county country counts cover causes caused pause paused because case cases curse nurse course
    reasons season seasons treason prison person reasonable minus minute minor hour hours our ours
    four pour tour sour your yours weak weeks weeds seek week meek peek speak pods pots pads rods
    gods nods mods peds plan plane plans plain plains pains paint place please pleased lease
    released release pleas reports resort resorts export exports import support supports ports
    deport reported reporter respect response responses respond request quest requests required
    failed fails fall falls fallen fail tail mail sail nail bail fair hair failing falling filling
    feeling sailing since sine singe single sings sync sink high nigh hi hence fence sense wince
    prince networks worked network fetch watch match catch batch patch latch latest latter later
    letter better matter batter scanner cancel change charge chance chunk check chunks chart charts
""")
